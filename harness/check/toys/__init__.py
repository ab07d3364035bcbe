"""Toy workloads for ``timetrial check``: one small net with every kind of parameter, under each type of loss."""
