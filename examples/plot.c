/* SPDX-License-Identifier: MIT
 * plot.c - see plot.h. Every call writes its part of the SVG at once. */
#include "plot.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { LEFT = 62, RIGHT = 14, TOP = 40, BOTTOM = 46, MOST_TICKS = 40 }; /* margins of a panel, in pixels */

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

static double pixel_x(const plot *plot, double value) { return plot->left + plot->width*place(&plot->x, value); }
static double pixel_y(const plot *plot, double value) { return plot->top + plot->height*(1 - place(&plot->y, value)); }

/* Multiples of 1, 2 or 5 times a power of ten, about five of them; on a logarithmic axis powers of ten, 1-2-5 when few fit. */
static size_t find_ticks(const plot_axis *axis, double *tick) {
    size_t n = 0;
    if (axis->log) {
        const double decades = log10(axis->high/axis->low), every = ceil(decades/8);
        for (double power = floor(log10(axis->low)); power <= log10(axis->high); power += decades < 3 ? 1 : every)
            for (int digit = 1; digit <= (decades < 3 ? 5 : 1); digit += digit == 1 ? 1 : 3) {
                const double value = digit*pow(10, power);
                if (value >= axis->low*(1 - 1e-9) && value <= axis->high*(1 + 1e-9) && n < MOST_TICKS) tick[n++] = value;
            }
        return n;
    }
    const double rough = (axis->high - axis->low)/5, ten = pow(10, floor(log10(rough))), lead = rough/ten;
    const double step = ten*(lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
    for (double i = ceil(axis->low/step - 1e-9); i*step <= axis->high + 1e-9*step && n < MOST_TICKS; i++) tick[n++] = i*step;
    return n;
}

static void text(const plot *plot, const char *kind, double x, double y, const char *more, const char *words) {
    fprintf(plot->file, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" %s>", kind, x, y, more);
    for (const char *c = words; *c; c++) {
        const char *name = *c == '&' ? "&amp;" : *c == '<' ? "&lt;" : *c == '>' ? "&gt;" : NULL;
        if (name) fputs(name, plot->file);
        else fputc(*c, plot->file);
    }
    fputs("</text>\n", plot->file);
}

static void tick_text(char *words, size_t bytes, const plot_axis *axis, double value) {
    if (axis->log && (value < 1e-3 || value > 1e5)) snprintf(words, bytes, "1e%.0f", log10(value));
    else snprintf(words, bytes, "%.6g", fabs(value) < 1e-9*(axis->high - axis->low) ? 0 : value);
}

void plot_open(plot *plot, const char *file, int width, int height) {
    memset(plot, 0, sizeof *plot);
    plot->file = fopen(file, "w");
    if (!plot->file) return;
    fprintf(plot->file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
            "font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#333\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n", width, height, width, height);
}

void plot_panel(plot *plot, double left, double top, double width, double height, const char *title, plot_axis x, plot_axis y) {
    if (!plot->file) return;
    plot->panels++;
    plot->x = x, plot->y = y;
    plot->left = left + LEFT, plot->top = top + TOP;
    plot->width = width - LEFT - RIGHT, plot->height = height - TOP - BOTTOM;
    plot->legend = plot->left;

    const double right = plot->left + plot->width, bottom = plot->top + plot->height;
    double tick[MOST_TICKS];
    char words[48];
    fprintf(plot->file, "<clipPath id=\"panel%d\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/></clipPath>\n",
            plot->panels, plot->left, plot->top, plot->width, plot->height);
    for (size_t i = 0, n = find_ticks(&x, tick); i < n; i++) {
        const double at = pixel_x(plot, tick[i]);
        fprintf(plot->file, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"#e6e6e6\"/>\n", at, plot->top, bottom);
        tick_text(words, sizeof words, &x, tick[i]);
        text(plot, "tick", at, bottom + 16, "text-anchor=\"middle\"", words);
    }
    for (size_t i = 0, n = find_ticks(&y, tick); i < n; i++) {
        const double at = pixel_y(plot, tick[i]);
        fprintf(plot->file, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"#e6e6e6\"/>\n", plot->left, at, right);
        tick_text(words, sizeof words, &y, tick[i]);
        text(plot, "tick", plot->left - 7, at + 4, "text-anchor=\"end\"", words);
    }
    fprintf(plot->file, "<path d=\"M%.1f %.1fV%.1fH%.1f\" stroke=\"#666\" fill=\"none\"/>\n", plot->left, plot->top, bottom, right);
    text(plot, "label", plot->left + plot->width/2, bottom + 36, "text-anchor=\"middle\"", x.label);
    const double x_label = left + 15, y_label = plot->top + plot->height/2;
    char turned[96];
    snprintf(turned, sizeof turned, "text-anchor=\"middle\" transform=\"rotate(-90 %.1f %.1f)\"", x_label, y_label);
    text(plot, "label", x_label, y_label, turned, y.label);
    if (title) text(plot, "title", plot->left, top + 16, "font-weight=\"bold\" font-size=\"13\"", title);
}

enum mark { LINE, POINTS, BAND };

static void paint(const plot *plot, const plot_look *look, enum mark mark) {
    const double width = look->width > 0 ? look->width : mark == LINE ? 1.6 : 6;
    if (mark == LINE) fprintf(plot->file, "fill=\"none\" stroke=\"%s\" stroke-width=\"%.2f\" stroke-linejoin=\"round\"", look->color, width);
    if (mark == BAND) fprintf(plot->file, "fill=\"%s\" fill-opacity=\"0.2\"", look->color);
    if (mark == POINTS && look->hollow) fprintf(plot->file, "fill=\"white\" stroke=\"%s\" stroke-width=\"1.6\"", look->color);
    if (mark == POINTS && !look->hollow) fprintf(plot->file, "fill=\"%s\"", look->color);
    if (look->dash) fprintf(plot->file, " stroke-dasharray=\"%s\"", look->dash);
}

/* The next entry of the legend, in the row above the panel. */
static void entry(plot *plot, const plot_look *look, enum mark mark) {
    if (!look->name) return;
    const double x = plot->legend, y = plot->top - 10;
    if (mark == LINE) fprintf(plot->file, "<path d=\"M%.1f %.1fh20\" ", x, y);
    if (mark == BAND) fprintf(plot->file, "<path d=\"M%.1f %.1fh20v10h-20z\" ", x, y - 5);
    if (mark == POINTS) fprintf(plot->file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" ", x + 14, y);
    paint(plot, look, mark);
    fputs("/>\n", plot->file);
    text(plot, "legend", x + 25, y + 4, "font-size=\"11\"", look->name);
    plot->legend += 42 + 5.7*(double)strlen(look->name); /* about the width of the words */
}

static void begin(const plot *plot, const char *kind) {
    fprintf(plot->file, "<g class=\"%s\" clip-path=\"url(#panel%d)\">", kind, plot->panels);
}

void plot_line(plot *plot, plot_look look, size_t n, const double *x, size_t x_stride, const double *y, size_t y_stride) {
    if (!plot->file) return;
    begin(plot, "line");
    fputs("<path d=\"", plot->file);
    bool down = false;
    for (size_t i = 0; i < n; i++) {
        const double at_x = pixel_x(plot, x[i*x_stride]), at_y = pixel_y(plot, y[i*y_stride]);
        const bool good = fabs(at_x) < 1e6 && fabs(at_y) < 1e6;
        if (good) fprintf(plot->file, "%c%.1f %.1f", down ? 'L' : 'M', at_x, at_y);
        down = good;
    }
    fputs("\" ", plot->file);
    paint(plot, &look, LINE);
    fputs("/></g>\n", plot->file);
    entry(plot, &look, LINE);
}

void plot_points(plot *plot, plot_look look, size_t n, const double *x, size_t x_stride, const double *y, size_t y_stride) {
    if (!plot->file) return;
    begin(plot, "points");
    for (size_t i = 0; i < n; i++) {
        const double at_x = pixel_x(plot, x[i*x_stride]), at_y = pixel_y(plot, y[i*y_stride]);
        if (!(fabs(at_x) < 1e6 && fabs(at_y) < 1e6)) continue;
        fprintf(plot->file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" ", at_x, at_y, look.width > 0 ? look.width/2 : 3);
        paint(plot, &look, POINTS);
        fputs("/>", plot->file);
    }
    fputs("</g>\n", plot->file);
    entry(plot, &look, POINTS);
}

void plot_band(plot *plot, plot_look look, size_t n, const double *x, const double *low, const double *high) {
    if (!plot->file || n == 0) return;
    begin(plot, "band");
    fputs("<path d=\"", plot->file);
    for (size_t i = 0; i < 2*n; i++) {
        const size_t j = i < n ? i : 2*n - 1 - i;
        fprintf(plot->file, "%c%.1f %.1f", i ? 'L' : 'M', pixel_x(plot, x[j]), pixel_y(plot, i < n ? low[j] : high[j]));
    }
    fputs("z\" ", plot->file);
    paint(plot, &look, BAND);
    fputs("/></g>\n", plot->file);
    entry(plot, &look, BAND);
}

bool plot_close(plot *plot) {
    if (!plot->file) return false;
    fputs("</svg>\n", plot->file);
    const bool good = !ferror(plot->file);
    FILE *file = plot->file;
    plot->file = NULL;
    return fclose(file) == 0 && good;
}
