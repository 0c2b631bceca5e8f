"""The base of every error that a user can mend."""


class PctError(Exception):
    """Bad input or a bad state of files: says where, what was found, what to do next.

    The command line prints the message alone and exits with 2. Each package derives its own
    classes, one a remedy; anything else that is raised is our bug and exits with 1.
    """
