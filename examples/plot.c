/* SPDX-License-Identifier: MIT
 * plot.c - see plot.h. Every call writes its part of the SVG at once. */
#include "plot.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* margins of a panel, in pixels */
enum { LEFT = 62, RIGHT = 14, TOP = 40, BOTTOM = 46, MOST_TICKS = 40 };

plot_axis plot_range(const char *label, size_t n, const double *v, size_t stride) {
    double low = DBL_MAX, high = -DBL_MAX;
    for (size_t i = 0; i < n; i++) {
        const double value = v[i*stride];
        if (!isfinite(value)) continue;
        low = fmin(low, value);
        high = fmax(high, value);
    }
    if (low > high) low = 0, high = 1;
    const double margin = high > low ? 0.04*(high - low) : 0.04*fabs(high) + 1e-12;
    return (plot_axis){ .label = label, .low = low - margin, .high = high + margin };
}

/* Where a value lies between the ends of its axis, 0 to 1. NaN: nowhere. */
static double place(const plot_axis *axis, double value) {
    if (!axis->log) return (value - axis->low)/(axis->high - axis->low);
    return value > 0 ? log(value/axis->low)/log(axis->high/axis->low) : (double)NAN;
}

static double pixel_x(const plot_picture *to, double value) {
    return to->left + to->width*place(&to->x, value);
}
static double pixel_y(const plot_picture *to, double value) {
    return to->top + to->height*(1 - place(&to->y, value));
}

/* Multiples of 1, 2 or 5 times a power of ten, about five of them, or as many as fit in `pixels`; on a logarithmic axis
 * powers of ten, 1-2-5 when few fit. */
static size_t find_ticks(const plot_axis *axis, double pixels, double *tick) {
    size_t n = 0;
    if (axis->log) {
        const double decades = log10(axis->high/axis->low), every = ceil(decades/8);
        const int last_digit = decades < 3 ? 5 : 1;
        for (double power = floor(log10(axis->low)); power <= log10(axis->high); power += every)
            for (int digit = 1; digit <= last_digit; digit += digit == 1 ? 1 : 3) {
                const double value = digit*pow(10, power);
                const bool inside = value >= axis->low*(1 - 1e-9) && value <= axis->high*(1 + 1e-9);
                if (inside && n < MOST_TICKS) tick[n++] = value;
            }
        return n;
    }
    const double rough = (axis->high - axis->low)/fmin(5, pixels/50);
    const double ten = pow(10, floor(log10(rough))), lead = rough/ten;
    const double step = ten*(lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
    for (double i = ceil(axis->low/step - 1e-9); i*step <= axis->high + 1e-9*step; i++)
        if (n < MOST_TICKS) tick[n++] = i*step;
    return n;
}

static void text(const plot_picture *to, const char *kind, double x, double y, const char *more,
                 const char *words) {
    fprintf(to->file, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" %s>", kind, x, y, more);
    for (const char *c = words; *c; c++) {
        const char *name = *c == '&' ? "&amp;" : *c == '<' ? "&lt;" : *c == '>' ? "&gt;" : NULL;
        if (name) fputs(name, to->file);
        else fputc(*c, to->file);
    }
    fputs("</text>\n", to->file);
}

static void tick_text(char *words, size_t bytes, const plot_axis *axis, double value) {
    if (axis->log && (value < 5e-3 || value > 5e3)) snprintf(words, bytes, "1e%.0f", log10(value));
    else snprintf(words, bytes, "%.6g", fabs(value) < 1e-9*(axis->high - axis->low) ? 0 : value);
}

bool plot_open(plot_picture *to, const char *file, int width, int height) {
    memset(to, 0, sizeof *to);
    to->file = fopen(file, "w");
    if (!to->file) return false;
    fprintf(to->file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "viewBox=\"0 0 %d %d\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" "
            "fill=\"#333\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
            width, height, width, height);
    return true;
}

void plot_panel(plot_picture *to, double left, double top, double width, double height,
                const char *title, plot_axis x, plot_axis y) {
    if (!to->file) return;
    to->panels++;
    to->x = x, to->y = y;
    to->left = left + LEFT, to->top = top + TOP;
    to->width = width - LEFT - RIGHT, to->height = height - TOP - BOTTOM;
    to->legend = to->left, to->legend_row = to->top - (title ? 10 : 24);

    const double right = to->left + to->width, bottom = to->top + to->height;
    double tick[MOST_TICKS];
    char words[48];
    fprintf(to->file, "<clipPath id=\"panel%d\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
            "height=\"%.1f\"/></clipPath>\n", to->panels, to->left, to->top, to->width, to->height);
    for (size_t i = 0, n = find_ticks(&x, to->width, tick); i < n; i++) {
        const double at = pixel_x(to, tick[i]);
        fprintf(to->file, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"#e6e6e6\"/>\n", at, to->top,
                bottom);
        tick_text(words, sizeof words, &x, tick[i]);
        text(to, "tick", at, bottom + 16, "text-anchor=\"middle\"", words);
    }
    for (size_t i = 0, n = find_ticks(&y, 2*to->height, tick); i < n; i++) {
        const double at = pixel_y(to, tick[i]);
        fprintf(to->file, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"#e6e6e6\"/>\n", to->left, at,
                right);
        tick_text(words, sizeof words, &y, tick[i]);
        text(to, "tick", to->left - 7, at + 4, "text-anchor=\"end\"", words);
    }
    fprintf(to->file, "<path d=\"M%.1f %.1fV%.1fH%.1f\" stroke=\"#666\" fill=\"none\"/>\n",
            to->left, to->top, bottom, right);
    text(to, "label", to->left + to->width/2, bottom + 36, "text-anchor=\"middle\"", x.label);
    const double x_label = left + 15, y_label = to->top + to->height/2;
    char turned[96];
    snprintf(turned, sizeof turned, "text-anchor=\"middle\" transform=\"rotate(-90 %.1f %.1f)\"",
             x_label, y_label);
    text(to, "label", x_label, y_label, turned, y.label);
    if (title)
        text(to, "title", to->left, top + 16, "font-weight=\"bold\" font-size=\"13\"", title);
}

enum mark { LINE, POINTS, BAND };

static void paint(const plot_picture *to, const plot_look *look, enum mark mark) {
    const double width = look->width > 0 ? look->width : mark == LINE ? 1.6 : 6;
    if (mark == LINE)
        fprintf(to->file, "fill=\"none\" stroke=\"%s\" stroke-width=\"%.2f\" "
                "stroke-linejoin=\"round\"", look->color, width);
    if (mark == BAND) fprintf(to->file, "fill=\"%s\" fill-opacity=\"0.2\"", look->color);
    if (mark == POINTS && look->hollow)
        fprintf(to->file, "fill=\"white\" stroke=\"%s\" stroke-width=\"1.6\"", look->color);
    if (mark == POINTS && !look->hollow) fprintf(to->file, "fill=\"%s\"", look->color);
    if (look->dash) fprintf(to->file, " stroke-dasharray=\"%s\"", look->dash);
}

/* The next entry of the legend, in rows above the panel; where there is a title, in one row, and more within. */
static void entry(plot_picture *to, const plot_look *look, enum mark mark) {
    if (!look->name) return;
    const double wide = 42 + 5.7*(double)strlen(look->name); /* about the width of the words */
    if (to->legend > to->left && to->legend + wide > to->left + to->width + RIGHT) to->legend = to->left, to->legend_row += 14;
    const double x = to->legend, y = to->legend_row;
    if (mark == LINE) fprintf(to->file, "<path d=\"M%.1f %.1fh20\" ", x, y);
    if (mark == BAND) fprintf(to->file, "<path d=\"M%.1f %.1fh20v10h-20z\" ", x, y - 5);
    if (mark == POINTS) fprintf(to->file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" ", x + 14, y);
    paint(to, look, mark);
    fputs("/>\n", to->file);
    text(to, "legend", x + 25, y + 4, "font-size=\"11\"", look->name);
    to->legend += wide;
}

static void begin(const plot_picture *to, const char *kind) {
    fprintf(to->file, "<g class=\"%s\" clip-path=\"url(#panel%d)\">", kind, to->panels);
}

void plot_line(plot_picture *to, plot_look look, size_t n, const double *x, size_t x_stride,
               const double *y, size_t y_stride) {
    if (!to->file) return;
    begin(to, "line");
    fputs("<path d=\"", to->file);
    bool down = false;
    for (size_t i = 0; i < n; i++) {
        const double at_x = pixel_x(to, x[i*x_stride]), at_y = pixel_y(to, y[i*y_stride]);
        const bool good = fabs(at_x) < 1e6 && fabs(at_y) < 1e6;
        if (good) fprintf(to->file, "%c%.1f %.1f", down ? 'L' : 'M', at_x, at_y);
        down = good;
    }
    fputs("\" ", to->file);
    paint(to, &look, LINE);
    fputs("/></g>\n", to->file);
    entry(to, &look, LINE);
}

void plot_points(plot_picture *to, plot_look look, size_t n, const double *x, size_t x_stride,
                 const double *y, size_t y_stride) {
    if (!to->file) return;
    begin(to, "points");
    for (size_t i = 0; i < n; i++) {
        const double at_x = pixel_x(to, x[i*x_stride]), at_y = pixel_y(to, y[i*y_stride]);
        if (!(fabs(at_x) < 1e6 && fabs(at_y) < 1e6)) continue;
        fprintf(to->file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" ", at_x, at_y,
                look.width > 0 ? look.width/2 : 3);
        paint(to, &look, POINTS);
        fputs("/>", to->file);
    }
    fputs("</g>\n", to->file);
    entry(to, &look, POINTS);
}

void plot_dots(plot_picture *to, plot_look look, size_t n, const double *x, size_t x_stride,
               const double *y, size_t y_stride) {
    if (!to->file) return;
    if (!(look.width > 0)) look.width = 0.8;
    begin(to, "dots");
    fputs("<path stroke-linecap=\"round\" d=\"", to->file);
    for (size_t i = 0; i < n; i++) {
        const double at_x = pixel_x(to, x[i*x_stride]), at_y = pixel_y(to, y[i*y_stride]);
        if (fabs(at_x) < 1e6 && fabs(at_y) < 1e6) fprintf(to->file, "M%.1f %.1fh0", at_x, at_y);
    }
    fputs("\" ", to->file);
    paint(to, &look, LINE);
    fputs("/></g>\n", to->file);
}

void plot_band(plot_picture *to, plot_look look, size_t n, const double *x, const double *low,
               const double *high) {
    if (!to->file || n == 0) return;
    begin(to, "band");
    fputs("<path d=\"", to->file);
    for (size_t i = 0; i < 2*n; i++) {
        const size_t j = i < n ? i : 2*n - 1 - i;
        fprintf(to->file, "%c%.1f %.1f", i ? 'L' : 'M', pixel_x(to, x[j]),
                pixel_y(to, i < n ? low[j] : high[j]));
    }
    fputs("z\" ", to->file);
    paint(to, &look, BAND);
    fputs("/></g>\n", to->file);
    entry(to, &look, BAND);
}

/* Cells of one shade are strokes of one path, neighbours in a row one stroke. */
void plot_shade(plot_picture *to, const char *color, size_t columns, size_t rows, const double *value) {
    if (!to->file) return;
    enum { SHADES = 16 };
    const double wide = to->width/(double)columns, high = to->height/(double)rows;
    begin(to, "shade");
    for (int shade = 1; shade <= SHADES; shade++) {
        size_t run = 0;
        fprintf(to->file, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%.2f\" stroke-opacity=\"%.3f\" d=\"M0 0", color,
                high, (double)shade/SHADES);
        for (size_t i = 0; i < columns*rows; i++) {
            const bool here = (int)lround(SHADES*value[i]) == shade, last = i % columns == columns - 1;
            if (here) run++;
            if (run && (!here || last)) {
                const size_t first = i % columns + here - run;
                fprintf(to->file, "M%.1f %.1fh%.1f", to->left + wide*(double)first,
                        to->top + to->height - high*((double)(i/columns) + 0.5), wide*(double)run);
                run = 0;
            }
        }
        fputs("\"/>", to->file);
    }
    fputs("</g>\n", to->file);
}

bool plot_close(plot_picture *to) {
    if (!to->file) return false;
    fputs("</svg>\n", to->file);
    const bool good = !ferror(to->file);
    FILE *file = to->file;
    to->file = NULL;
    return fclose(file) == 0 && good;
}

int plot_finish(plot_picture *to, const char *program, const char *file) {
    if (!plot_close(to)) return fprintf(stderr, "%s: cannot write %s\n", program, file), EXIT_FAILURE;
    printf("picture: %s\n", file);
    return EXIT_SUCCESS;
}
