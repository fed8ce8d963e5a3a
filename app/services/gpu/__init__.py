"""A private build of PyTorch for the graphics card: which one fits, fetching, checking, keeping it. No Qt."""
