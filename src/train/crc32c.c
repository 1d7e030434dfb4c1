/* SPDX-License-Identifier: MIT
 * crc32c.c - CRC-32C, eight bytes at a time by eight tables, which are made on the spot: 2048 entries cost less than opening a
 * file. Source: M. Kounavis, F. Berry, A systematic approach to building high performance software-based CRC generators, ISCC
 * (2005). */
#include "train/disk.h"

#define POLYNOMIAL 0x82f63b78u /* 0x1edc6f41, its bits reversed */

void nde_crc32c_begin(nde_crc32c *crc) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t row = i;
        for (int bit = 0; bit < 8; bit++) row = row >> 1 ^ (row & 1 ? POLYNOMIAL : 0);
        crc->table[0][i] = row;
    }
    for (int k = 1; k < 8; k++) /* what a byte becomes after k zero bytes */
        for (uint32_t i = 0; i < 256; i++) {
            const uint32_t row = crc->table[k - 1][i];
            crc->table[k][i] = row >> 8 ^ crc->table[0][row & 0xff];
        }
    crc->state = 0xffffffffu;
}

void nde_crc32c_add(nde_crc32c *crc, const void *bytes, size_t count) {
    const unsigned char *b = bytes;
    uint32_t state = crc->state;
    for (; count >= 8; b += 8, count -= 8) {
        state ^= (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
        state = crc->table[7][state & 0xff] ^ crc->table[6][state >> 8 & 0xff] ^ crc->table[5][state >> 16 & 0xff] ^
            crc->table[4][state >> 24] ^ crc->table[3][b[4]] ^ crc->table[2][b[5]] ^ crc->table[1][b[6]] ^ crc->table[0][b[7]];
    }
    for (; count; b++, count--) state = state >> 8 ^ crc->table[0][(state ^ *b) & 0xff];
    crc->state = state;
}

uint32_t nde_crc32c_value(const nde_crc32c *crc) { return ~crc->state; }
