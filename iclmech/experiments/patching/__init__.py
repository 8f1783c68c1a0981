"""`patch`: states of one run put into another, place by place."""
