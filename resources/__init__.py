"""Files that ship with the application: sample project, bundled models, icons, themes."""
