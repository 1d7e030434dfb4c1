/* SPDX-License-Identifier: MIT
 * angle.c - large angles modulo pi/2. Source: M. Payne, R. Hanek, Radian reduction for trigonometric functions, SIGNUM
 * Newsletter 18 (1983) 19-24. */
#include "core/angle.h"

#include <stdint.h>
#include <string.h>

/* Two words of zeros, then the first bits of 2/pi. */
static const uint32_t two_over_pi[] = {
    0, 0, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab, 0xdebbc561, 0xb7246e3a,
        0x424dd2e0,
    0x06492eea, 0x09d1921c, 0xfe1deb1c, 0xb129a73e, 0xe88235f5, 0x2ebb4484, 0xe99c7026, 0xb45f7e41, 0x3991d639, 0x835339f4,
    0x9c845f8b, 0xbdf9283b, 0x1ff897ff, 0xde05980f, 0xef2f118b, 0x5a0a6d1f, 0x6d367ecf, 0x27cb09b7, 0x4f463f66, 0x9e5fea2d,
    0x7527bac7, 0xebe5f17b, 0x3d0739f7, 0x8a5292ea, 0x6bfb5fb1, 0x1f8d5d08, 0x56033046, 0xfc7b6bab,
};

/* 32 bits of words (the first is the highest) from bit `at` on. */
static uint32_t word_at(const uint32_t *words, int at) {
    const uint64_t two = (uint64_t)words[at/32] << 32 | words[at/32 + 1];
    return (uint32_t)(two >> (32 - at % 32));
}

/* x 2^-n, n < 1000 */
static double shrink(uint64_t x, int n) {
    const uint64_t bits = (uint64_t)(1023 - n) << 52;
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return (double)x*scale;
}

int nde_quarter_turns(double x, double rest[2]) {
    enum { WORDS = 7, PART = 4 }; /* of a fraction of 224 bits; of the leading bits of it that count */
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const int exponent = (int)(bits >> 52) - 1075; /* x = mantissa 2^exponent */
    if (exponent > 971) {
        rest[0] = rest[1] = x - x;
        return 0;
    }
    const uint64_t mantissa = (bits & 0xfffffffffffff) | 0x10000000000000;
    /* x (2/pi) mod 4, in units of 2^-222: bits of 2/pi above 2^(2 - exponent) give multiples of 4. Bit j of the table is
     * 2^(63 - j). */
    uint32_t turns[WORDS + 2] = { 0 };
    uint64_t carry = 0;
    for (int i = WORDS - 1; i >= 0; i--) {
        const uint32_t w = word_at(two_over_pi, exponent + 62 + 32*i);
        const uint64_t low = (mantissa & 0xffffffff)*w, high = (mantissa >> 32)*w;
        carry += (uint32_t)low;
        turns[i] = (uint32_t)carry;
        carry = (carry >> 32) + (low >> 32) + high;
    }
    int q = (int)(turns[0] >> 30);
    for (int i = 0; i < WORDS; i++) turns[i] = turns[i] << 2 | turns[i + 1] >> 30;
    const int negative = (int)(turns[0] >> 31); /* the nearer multiple is the next one */
    if (negative)
        for (int i = 0; i < WORDS; i++) turns[i] = ~turns[i];
    q = (q + negative) & 3;

    int zeros = 0;
    while (zeros < 32*(WORDS - PART) - 1 && !(turns[zeros/32] >> (31 - zeros % 32) & 1)) zeros++;
    /* its leading 128 bits times pi/2 */
    static const uint32_t half_pi[PART] = { 0xc90fdaa2, 0x2168c234, 0xc4c6628b, 0x80dc1cd1 }; /* 2^-31 the first's unit */
    uint32_t product[2*PART] = { 0 };
    for (int i = PART - 1; i >= 0; i--) {
        const uint64_t w = word_at(turns, zeros + 32*i);
        uint64_t over = 0;
        for (int j = PART - 1; j >= 0; j--) {
            over += w*half_pi[j] + product[i + j + 1];
            product[i + j + 1] = (uint32_t)over;
            over >>= 32;
        }
        product[i] = (uint32_t)over;
    }
    /* its unit 2^-63 (pi/2 = p 2^-127, 128 bits kept); the first 50 bits, then 62 more */
    const uint64_t first = (uint64_t)product[0] << 32 | product[1], second = (uint64_t)product[2] << 32 | product[3];
    const double high = shrink(first >> 14, 49 + zeros), low = shrink((first & 0x3fff) << 39 | second >> 25, 102 + zeros);
    rest[0] = negative ? -(high + low) : high + low;
    rest[1] = (negative ? -high : high) - rest[0] + (negative ? -low : low);
    return q;
}
