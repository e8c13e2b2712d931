"""What sells, where, and how fast it leaves: counts of each day that are kept up to date, so that a page reads few rows
however many orders there are.
"""
