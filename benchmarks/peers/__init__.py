"""Other ways of carrying labels from one image to another, to be measured beside a model in one run."""
