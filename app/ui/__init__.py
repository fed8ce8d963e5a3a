"""The window: widgets only; they ask services and know neither torch nor the library."""
