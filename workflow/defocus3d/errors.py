"""What the user has to mend."""


class InputError(ValueError):
    """Something that the user has to mend; the message names the file, what is wrong, and what to do."""
