"""The project's own goldens: what the code said when it agreed with every reference case, for those who lack the
cases.
"""
