/* SPDX-License-Identifier: MIT
 * trees.h - rooted trees by their number of nodes: the conditions that the order of a method is made of. Source: E. Hairer, S.
 * Norsett, G. Wanner, Solving Ordinary Differential Equations I (1993), II.2. */
#ifndef NDE_TESTS_TREES_H
#define NDE_TESTS_TREES_H

enum { MOST_TREES = 40 };

/* gamma: the product of the nodes of it and of all that hang on it; child: numbers of smaller trees */
typedef struct tree {
    int nodes, gamma, children, child[6];
} tree;
static tree trees[MOST_TREES];
static int tree_count;

static void trees_add(tree t, int nodes, int last) {
    if (t.nodes == nodes) {
        t.gamma = nodes;
        for (int k = 0; k < t.children; k++) t.gamma *= trees[t.child[k]].gamma;
        trees[tree_count++] = t;
    }
    for (int i = 0; i <= last && t.nodes + trees[i].nodes <= nodes; i++) {
        tree more = t;
        more.nodes += trees[i].nodes, more.child[more.children++] = i;
        trees_add(more, nodes, i);
    }
}

/* All of up to so many nodes, at most 6. */
static void trees_grow(int nodes) {
    tree_count = 0;
    for (int n = 1; n <= nodes; n++) trees_add((tree){ .nodes = 1 }, n, tree_count - 1);
}

#endif
