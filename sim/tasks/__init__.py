"""What is to be done at the table: wordings, who judges whether it was done, experts who can do it."""
