"""The two ways a command can fail, told apart by whose turn it is: the user's input (exit 2) or the work itself (exit 1).

Messages are one or two lines for a person: what is wrong, where, and what to do.
"""


class SubtextError(Exception):
    """The work could not be done; the message says what to do about it. Exit status 1."""

    exit_code = 1


class InputError(SubtextError):
    """What the user gave (a config, a file, an argument) is wrong. Exit status 2."""

    exit_code = 2
