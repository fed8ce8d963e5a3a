"""The pages of the window beside labelling: each is built when it is first shown.

To add one: a `PageSpec` in `app/ui/pages/table.py`, an action `page.NAME` in `app/ui/actions/table.py` and in
the View menu of `app/ui/actions/layout.py`, and a `Page` in a package `app/ui/pages/NAME/`.
"""
