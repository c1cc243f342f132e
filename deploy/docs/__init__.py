"""The documentation: reference pages made of the code, and all pages as a site."""
