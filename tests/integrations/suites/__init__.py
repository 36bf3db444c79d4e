"""The frameworks' own tests, run with the classes of agentrows in place of theirs.

A suite is the source distribution that a lock file pins. It is downloaded into .cache, unpacked,
and the lines of `Suite.appended` are added to its test files. No file of it is in this repository.
"""
