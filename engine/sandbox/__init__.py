"""A child process that may be fed anything: limits, no network, no writing, death with its parent, framed answers.

The child's side is ``serve`` (which confines itself by ``confine`` first); the parent's is ``child``. What is asked and
answered is the business of the rooms that use it: the readers of documents and the gate's scanner.
"""
