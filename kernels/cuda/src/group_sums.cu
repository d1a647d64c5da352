// SPDX-License-Identifier: GPL-3.0-or-later
// Sums, multiples and affine forms of points. Every kernel but the last leaves XYZZ points in `sums` and verdicts: 1 good, −1 for
// a row that is not canonical or not on the curve, whose sum is infinity. `constants.cuh` is that of `msm.cu`.
//
// group_add(const u32 *first, const u32 *second, u32 *sums, i8 *verdicts, u32 count)
// group_multiply(const u32 *points, const u32 *scalars, u32 *sums, i8 *verdicts, u32 count)
//     Scalars are any 256 bits: signed nibbles against eight multiples that each thread makes for itself.
// group_coordinates(const u32 *rows, u32 bytes, u32 *sums, i8 *verdicts, u32 count)
//     Rows of `bytes` bytes: X, Y, Z with x = X/Z² and y = Y/Z³, or X, Y, ZZ, ZZZ, good where ZZ³ = ZZZ². Nobody asks whether
//     they are on the curve.
// group_affine(const u32 *sums, u32 *points, u32 count)
//     Rows of affine points. One thread per 16 items: group_threads(count) of them.
#include "constants.cuh"
#include "launch.cuh"
#include "group_rows.cuh"
#include "shared_inversion.cuh"

constexpr u32 NIBBLES = 64, MULTIPLES = 8;

DEVICE void finish(u32 item, const Point &A, bool good, u32 *sums, i8 *verdicts)
{
    store_point(sums + (u64)item * Point::WORDS, A);
    verdicts[item] = good ? 1 : -1;
}

KERNEL(group_add, 128, POINT_BLOCKS)(const u32 *first, const u32 *second, u32 *sums, i8 *verdicts, u32 count)
{
    for_items(item, count)
    {
        Point A, B;
        const bool good_first = read_point(A, first + (u64)item * Point::ROW);
        const bool good = read_point(B, second + (u64)item * Point::ROW) && good_first;
        add_point(A, B);
        finish(item, good ? A : Point::neutral(), good, sums, verdicts);
    }
}

// P, 2P, …, 8P.
DEVICE void write_multiples(Point (&table)[MULTIPLES], const Point &P)
{
    Point A = table[0] = P;
    double_point(A);
    table[1] = A;
    ROLLED for (u32 i = 2; i < MULTIPLES; ++i) {
        add_point(A, P);
        table[i] = A;
    }
}

KERNEL(group_multiply, 128, POINT_BLOCKS)
(const u32 *points, const u32 *scalars, u32 *sums, i8 *verdicts, u32 count)
{
    for_items(item, count)
    {
        Point A, table[MULTIPLES];
        const bool good = read_point(A, points + (u64)item * Point::ROW);
        write_multiples(table, A);
        u32 digits[8], eights[8];  // digits −8 … 7, each raised by 8, and a last one that is the carry
        UNROLL for (int i = 0; i < 8; ++i) {
            digits[i] = scalars[(u64)item * 8 + i];
            eights[i] = 0x88888888;
        }
        if (!add_words(digits, digits, eights)) A = Point::neutral();
        ROLLED for (u32 place = NIBBLES; place-- > 0;) {
            ROLLED for (u32 i = 0; i < 4; ++i) double_point(A);
            const i32 digit = (i32)(digits[place / 8] >> place % 8 * 4 & 15) - 8;
            if (digit != 0) {
                Point B = table[(digit < 0 ? -digit : digit) - 1];
                if (digit < 0) B.Y = -B.Y;
                add_point(A, B);
            }
        }
        finish(item, A, good, sums, verdicts);
    }
}

KERNEL(group_coordinates, 128, POINT_BLOCKS)(const u32 *rows, u32 bytes, u32 *sums, i8 *verdicts, u32 count)
{
    for_items(item, count)
    {
        const u32 *words = rows + (u64)item * (bytes / 4);
        Point A;
        const bool x = read_element(A.X, words), y = read_element(A.Y, words + Base::WORDS);
        bool good = read_element(A.ZZ, words + 2 * Base::WORDS) && x && y;
        if (bytes == 16 * Base::WORDS) {
            good = read_element(A.ZZZ, words + 3 * Base::WORDS) && good;
            good = good && A.ZZ * A.ZZ.squared() == A.ZZZ.squared();
        } else {
            const Base Z = A.ZZ;
            A.ZZ = Z.squared();
            A.ZZZ = A.ZZ * Z;
        }
        finish(item, good ? A : Point::neutral(), good, sums, verdicts);
    }
}

KERNEL(group_affine, 128, POINT_BLOCKS)(const u32 *sums, u32 *points, u32 count)
{
    const u32 threads = group_threads(count);
    const auto load = [&](u32 item) {
        Point A;
        load_point(A, sums + (u64)item * Point::WORDS);
        return A.infinite() ? Base::one() : A.ZZZ;
    };
    const auto use = [&](u32 item, const Base &inverse) {
        Point A;
        load_point(A, sums + (u64)item * Point::WORDS);
        const Base step = A.ZZ * inverse;  // 1/Z, and 0 at infinity
        u32 *row = points + (u64)item * Point::ROW;
        store_canonical(row, A.X * step.squared());
        store_canonical(row + Base::WORDS, A.infinite() ? Base::zero() : A.Y * inverse);
    };
    for_items(thread, threads) share_inversion<Curve>(thread, threads, count, Base::one(), load, use);
}
