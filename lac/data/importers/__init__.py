"""Data sets as others distribute them: read as they are, or copied into the layout `folder`."""
