"""The kinds of screens: the common frame, lists, forms, pages of text, actions that ask first."""
