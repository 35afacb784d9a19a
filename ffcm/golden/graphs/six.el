# Six nodes: a triangle of unequal weights with a self-loop, a dangling one, one nothing points to, an isolated one.
a b 3
b c 1
c a 2
c c 1
a sink 5
b sink 0.25
hermit a 1
# A weight of 0 makes a node without making an edge.
island island 0
