/* SPDX-License-Identifier: MIT
 * plot.h - the pictures of the examples: panels with axes, lines, points, bands and a legend,
 * written as SVG. Not a part of libnde.
 *
 * Data are columns: value i of v at v[i*stride], so that a component of a solution is drawn where
 * it lies. Values that are not finite (on a logarithmic axis: not positive) break a line. */
#ifndef PLOT_H
#define PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Colours that the colour-blind tell apart. Source: M. Okabe, K. Ito, Color universal design
 * (2008). */
#define PLOT_BLUE "#0072b2"
#define PLOT_RED "#d55e00"
#define PLOT_GREEN "#009e73"
#define PLOT_PURPLE "#b0558b"
#define PLOT_ORANGE "#d68f00"
#define PLOT_GREY "#808080"
#define PLOT_SKY "#56b4e9"

typedef struct plot_axis {
    const char *label;
    double low, high;
    bool log;
} plot_axis;

/* How something looks. name: its entry in the legend; NULL: none. dash: as in SVG, "6 4"; NULL:
 * none. width: of a line, or the diameter of a point; 0: the default. hollow: a point that is only
 * a ring. */
typedef struct plot_look {
    const char *name, *color, *dash;
    double width;
    bool hollow;
} plot_look;

typedef struct plot_picture {
    FILE *file;
    int panels;
    double left, top, width, height; /* the panel's frame, in pixels */
    double legend, legend_row;       /* where its next entry begins */
    plot_axis x, y;
} plot_picture;

/* The range of a column and 4 % around it. */
plot_axis plot_range(const char *label, size_t n, const double *v, size_t stride);

/* Returns false when it cannot be written: all that follows does nothing then. */
bool plot_open(plot_picture *to, const char *file, int width, int height);
/* A new panel that covers this part of the picture, labels included. title may be NULL. */
void plot_panel(plot_picture *to, double left, double top, double width, double height,
                const char *title, plot_axis x, plot_axis y);
void plot_line(plot_picture *to, plot_look look, size_t n, const double *x, size_t x_stride,
               const double *y, size_t y_stride);
void plot_points(plot_picture *to, plot_look look, size_t n, const double *x, size_t x_stride,
                 const double *y, size_t y_stride);
/* Many small points, in little room: .width is 0.8 when 0. No entry in the legend. */
void plot_dots(plot_picture *to, plot_look look, size_t n, const double *x, size_t x_stride,
               const double *y, size_t y_stride);
/* The area between two columns of stride 1. */
void plot_band(plot_picture *to, plot_look look, size_t n, const double *x, const double *low,
               const double *high);
/* Values [rows][columns] in [0, 1] all over the panel, the first row at its bottom: the more, the darker. */
void plot_shade(plot_picture *to, const char *color, size_t columns, size_t rows, const double *value);
/* Returns false when the picture could not be written. */
bool plot_close(plot_picture *to);
/* The same for a program that ends with it: says where the picture is, or that it cannot be written. Returns an exit status. */
int plot_finish(plot_picture *to, const char *program, const char *file);

#endif
