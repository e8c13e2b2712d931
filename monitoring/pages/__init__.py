"""The pages people work with, one module for each."""
