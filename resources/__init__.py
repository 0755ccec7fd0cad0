"""Data that ships with the program: icons, fonts, licences."""
