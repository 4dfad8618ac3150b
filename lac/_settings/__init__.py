"""The settings of training: named, typed and checked, then made into module, data and trainer."""
