"""Tests of the set-up, with small real programs in the place of uv, compilers and package managers."""
