"""The administration: what whoever runs the installation sees of it, and the few things they can do about it.

Django's admin, with everything that writes taken out: there is no form for a row, so there is nothing that could change
one. What administrators do goes through the same functions as the portal's pages.
"""
