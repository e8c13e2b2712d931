"""The people of a seller: their places and roles, invitations, sessions, second factor, and what they did."""
