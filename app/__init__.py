"""CoordLabel, the desktop application and the `coordlabel` command."""
