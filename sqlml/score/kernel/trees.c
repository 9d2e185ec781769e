/* Sums of decision trees over columns of rows, exact to the last bit.
 *
 * Every comparison is one of integers. A float32 becomes an int32 key of the same order (`key_of`),
 * in which -0.0 and 0.0 are one and NaN is above all; a double becomes the key of the greatest
 * float32 not above it, and where that ties with a threshold's, doubles decide. So nothing depends
 * on rounding modes, and `x < t` is `x <= t` of the key below.
 *
 * Small trees, `dense`: a block has 512 rows. For each feature the row's rank among the thresholds
 * is one byte; for each different test one compare of 64 bytes gives 64 bits, so the answers of all
 * rows are one cache line, computed once however many trees ask. A tree is then bit arithmetic on
 * such lines: which rows go right at a node. Each leaf has a code, each node the bits by which the
 * code of what is to its right differs from what is to its left; the codes of the rows' leaves
 * come out as bit planes. Depth and shape of a tree do not matter.
 *
 * Large trees, `walk`: 16 rows go down together, a node is 8 bytes, until all are at a leaf.
 *
 * The leaves are added in the order of the trees, one addition for each, in the type of the sums.
 * Paths for AVX-512, AVX2 and for every CPU give the same bits, since nothing else rounds.
 */
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define X86 1
#include <immintrin.h>
#endif

#define ROWS 512          /* of a block: one bit each in a line */
#define WORDS (ROWS / 64)
#define INLINE static inline __attribute__((always_inline))

typedef uint64_t line __attribute__((vector_size(64), aligned(64)));

enum { PORTABLE, AVX2, AVX512 };
enum { SUM, MIN, MAX };
enum { LESS_OR_EQUAL, EQUAL, OR_EQUAL, OR_MISSING, NEVER };

#define KEY_INF 0x7f800000
#define KEY_NAN 0x7f800001
#define KEY_MISSING INT32_MIN   /* NaN, where it shall be below every threshold */

typedef struct {
    const void *data;
    int64_t stride;   /* bytes */
    int64_t is_double;
} Column;

typedef struct {
    uint8_t op, rank;
    uint16_t line, from;
} Test;

typedef struct {
    uint16_t line, from;   /* the test's answers; the rows that arrive */
} Node;

typedef struct {
    uint32_t nodes, node_at, term_at, vote_at, votes, planes;
    uint64_t leaf_at;
} Tree;

typedef struct {
    uint32_t key, next;    /* next: children << feature_bits | feature; a leaf: LEAF, key its number */
} Step;

#define LEAF 0x80000000u

typedef struct {
    int64_t is_dense, n_features, n_trees, feature_bits;
    const int32_t *columns;      /* of each feature */
    const uint8_t *missing_low;  /* walk: NaN is below all */
    const uint8_t *depth;        /* dense: of the search among thresholds */
    const uint32_t *search_at, *sorted_at, *sorted_n, *test_at;
    const int32_t *search;       /* the thresholds' keys in the order of the search */
    const int32_t *sorted;       /* the same, sorted, and one more that no key equals */
    const int64_t *wide;         /* dense: the keys of double thresholds; walk: sorted */
    const Test *tests;
    const Tree *trees;
    const Node *nodes;
    const uint16_t *term_counts; /* [trees, 16] */
    const uint16_t *terms;
    const Step *steps;
    const uint32_t *votes;       /* the output that each table of leaves adds to */
    const void *leaves;
} Group;

typedef struct {
    const Group *groups;
    int64_t n_groups;
    const Column *columns;
    int64_t rows;
    void *out;                   /* [outputs, rows], holding what is added to */
    int64_t is_double, aggregate;
    uint8_t *scratch;
    int64_t level;
} Call;

/* ---- keys --------------------------------------------------------------------------- */

INLINE int32_t key_of(float x) {
    int32_t bits;
    memcpy(&bits, &x, 4);
    int32_t size = bits & 0x7fffffff;
    if (size > KEY_INF) return KEY_NAN;
    return bits < 0 ? -size : size;
}

/* The key of the greatest float32 not above x. */
INLINE int32_t key_below(double x) {
    float near = (float)x;
    int32_t key = key_of(near);
    return (double)near > x ? key - 1 : key;
}

INLINE int64_t wide_key(double x) {
    int64_t bits;
    memcpy(&bits, &x, 8);
    int64_t size = bits & INT64_MAX;
    if (size > 0x7ff0000000000000) return 0x7ff0000000000001;
    return bits < 0 ? -size : size;
}

/* The keys of up to ROWS rows; `missing` gets a bit for each NaN. Rows past n are zero. */
INLINE void keys_generic(const Column *c, int64_t row, int n, int32_t *keys, uint64_t *missing) {
    const char *at = (const char *)c->data + row * c->stride;
    memset(missing, 0, 8 * WORDS);
    for (int i = 0; i < n; i++, at += c->stride) {
        if (c->is_double) {
            double x;
            memcpy(&x, at, 8);
            keys[i] = key_below(x);
        } else {
            float x;
            memcpy(&x, at, 4);
            keys[i] = key_of(x);
        }
        missing[i / 64] |= (uint64_t)(keys[i] == KEY_NAN) << (i % 64);
    }
    for (int i = n; i < ROWS; i++) keys[i] = 0;
}

/* ---- ranks -------------------------------------------------------------------------- */

INLINE void ranks_generic(const int32_t *keys, int n, const int32_t *search, int depth,
                          uint8_t *ranks) {
    for (int i = 0; i < n; i++) {
        uint32_t at = 1;
        for (int d = 0; d < depth; d++) at = 2 * at + (keys[i] > search[at]);
        ranks[i] = (uint8_t)(at - (1u << depth));
    }
}

/* Doubles whose key is a threshold's: where they are above it, the rank is higher. */
INLINE int settled(const Group *g, int f, const Column *c, int64_t row, int32_t key, int rank) {
    const int32_t *sorted = g->sorted + g->sorted_at[f];
    const int64_t *wide = g->wide + g->sorted_at[f];
    if (sorted[rank] != key) return rank;
    double x;
    memcpy(&x, (const char *)c->data + row * c->stride, 8);
    int64_t exact = wide_key(x);
    while (sorted[rank] == key && wide[rank] < exact) rank++;
    return rank;
}

/* ---- tests -------------------------------------------------------------------------- */

INLINE uint64_t eight_flags(uint64_t bytes) { /* 0x80 or 0 in each byte -> 8 bits */
    return ((bytes >> 7) * 0x0102040810204080ull) >> 56;
}

INLINE uint64_t bits_generic(const uint8_t *ranks, uint8_t rank, int equal) {
    const uint64_t high = 0x8080808080808080ull, ones = 0x0101010101010101ull;
    uint64_t bits = 0, t = rank * ones;
    for (int i = 0; i < 8; i++) {
        uint64_t x, flags;
        memcpy(&x, ranks + 8 * i, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        x = __builtin_bswap64(x);
#endif
        if (equal) {
            uint64_t y = x ^ t;
            flags = ~(((y & ~high) + ~high) | y) & high;
        } else { /* x <= t, byte by byte: the low seven bits, then the top ones */
            uint64_t low = ((t | high) - (x & ~high)) & high;
            flags = ((~x & t) | (~(x ^ t) & low)) & high;
        }
        bits |= eight_flags(flags) << (8 * i);
    }
    return bits;
}

INLINE void tests_generic(const Test *test, const Test *end, const uint8_t *ranks, int words,
                          const uint64_t *missing, uint64_t *lines) {
    for (; test < end; test++) {
        uint64_t *line = lines + WORDS * test->line, *from = lines + WORDS * test->from;
        for (int w = 0; w < words; w++) {
            switch (test->op) {
            case LESS_OR_EQUAL: line[w] = bits_generic(ranks + 64 * w, test->rank, 0); break;
            case EQUAL: line[w] = bits_generic(ranks + 64 * w, test->rank, 1); break;
            case OR_EQUAL: line[w] |= bits_generic(ranks + 64 * w, test->rank, 1); break;
            case OR_MISSING: line[w] = from[w] | missing[w]; break;
            default: line[w] = 0;
            }
        }
    }
}

/* ---- a tree: from answers to leaves ---------------------------------------------------- */

/* From the tests' lines to the planes of the rows' leaves, in vectors of V.
 *
 * reached[2 i + 2] and reached[2 i + 3] are the rows that go left and right at node i. A plane is
 * the exclusive or of those rows that went right where that changes the code's bit. */
#define PLANES(NAME, ATTRIBUTE, V)                                                              \
    ATTRIBUTE static void planes_##NAME(const Group *g, int t, const line *lines, line *reached, \
                                        line *planes) {                                         \
        enum { PARTS = 64 / sizeof(V) };                                                        \
        const Tree *tree = g->trees + t;                                                        \
        const Node *node = g->nodes + tree->node_at;                                            \
        V *to = (V *)reached;                                                                   \
        for (int i = 0; i < PARTS; i++) to[i] = ~(V){0};                                        \
        to += 2 * PARTS;                                                                        \
        for (uint32_t n = 0; n < tree->nodes; n++, node++, to += 2 * PARTS) {                   \
            const V *from = (const V *)(reached + node->from);                                  \
            const V *test = (const V *)(lines + node->line);                                    \
            UNROLLED for (int i = 0; i < PARTS; i++) {                                          \
                V here = from[i], left = here & test[i];                                        \
                to[i] = left;                                                                   \
                to[i + PARTS] = here ^ left;                                                    \
            }                                                                                   \
        }                                                                                       \
        const uint16_t *term = g->terms + tree->term_at;                                        \
        for (uint32_t p = 0; p < tree->planes; p++) {                                           \
            V sum[PARTS];                                                                       \
            UNROLLED for (int i = 0; i < PARTS; i++) sum[i] = (V){0};                           \
            for (const uint16_t *end = term + g->term_counts[16 * t + p]; term < end; term++)   \
                UNROLLED for (int i = 0; i < PARTS; i++)                                        \
                    sum[i] ^= ((const V *)(reached + *term))[i];                                \
            UNROLLED for (int i = 0; i < PARTS; i++) ((V *)(planes + p))[i] = sum[i];           \
        }                                                                                       \
    }

#define UNROLLED _Pragma("GCC unroll 4")
typedef uint64_t two __attribute__((vector_size(16)));
PLANES(portable, , two)

/* The codes of 64 rows, from n planes of bits. */
INLINE void codes_generic(const uint64_t *planes, int n, int word, uint16_t *codes) {
    memset(codes, 0, 2 * 64);
    for (int first = 0; first < n; first += 8) {
        for (int i = 0; i < 8; i++) {
            uint64_t x = 0, t;
            for (int p = first; p < n && p < first + 8; p++)
                x |= (planes[p * WORDS + word] >> (8 * i) & 0xff) << (8 * (p - first));
            /* Transpose 8 x 8 bits: Hacker's Delight, 7-3. */
            t = (x ^ (x >> 7)) & 0x00aa00aa00aa00aaull;
            x ^= t ^ (t << 7);
            t = (x ^ (x >> 14)) & 0x0000cccc0000ccccull;
            x ^= t ^ (t << 14);
            t = (x ^ (x >> 28)) & 0x00000000f0f0f0f0ull;
            x ^= t ^ (t << 28);
            for (int j = 0; j < 8; j++) codes[8 * i + j] |= (x >> (8 * j) & 0xff) << first;
        }
    }
}

#define ADD(T)                                                                                \
    INLINE void add_##T(const T *leaves, const uint16_t *codes, int n, int aggregate, T *out) { \
        for (int i = 0; i < n; i++) {                                                         \
            T leaf = leaves[codes[i]];                                                        \
            if (aggregate == SUM) out[i] += leaf;                                             \
            else if (aggregate == MIN ? leaf < out[i] : leaf > out[i]) out[i] = leaf;         \
        }                                                                                     \
    }
ADD(float)
ADD(double)

INLINE void add_codes(const Call *call, const Group *g, const Tree *tree, const uint16_t *codes,
                      int64_t row, int n) {
    for (uint32_t v = 0; v < tree->votes; v++) {
        int64_t at = g->votes[tree->vote_at + v] * call->rows + row;
        uint64_t first = tree->leaf_at + ((uint64_t)v << tree->planes);
        if (call->is_double)
            add_double((const double *)g->leaves + first, codes, n, call->aggregate,
                       (double *)call->out + at);
        else
            add_float((const float *)g->leaves + first, codes, n, call->aggregate,
                      (float *)call->out + at);
    }
}

INLINE void leaves_generic(const Call *call, const Group *g, const Tree *tree,
                           const line *planes, int64_t row, int n) {
    uint16_t codes[64];
    for (int w = 0; 64 * w < n; w++) {
        int rest = n - 64 * w;
        codes_generic((const uint64_t *)planes, tree->planes, w, codes);
        add_codes(call, g, tree, codes, row + 64 * w, rest < 64 ? rest : 64);
    }
}

/* ---- AVX2 ----------------------------------------------------------------------------- */

#ifdef X86
#define TARGET2 __attribute__((target("avx2")))
#define TARGET512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
typedef uint64_t four __attribute__((vector_size(32)));
PLANES(avx2, TARGET2, four)
PLANES(avx512, TARGET512, line)

TARGET2 static void keys_avx2(const Column *c, int64_t row, int n, int32_t *keys,
                              uint64_t *missing) {
    if (c->stride != (c->is_double ? 8 : 4) || n < ROWS) {
        keys_generic(c, row, n, keys, missing);
        return;
    }
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff), inf = _mm256_set1_epi32(KEY_INF);
    uint8_t *flags = (uint8_t *)missing;
    for (int i = 0; i < ROWS; i += 8) {
        __m256i bits, above = _mm256_setzero_si256();
        if (c->is_double) {
            const double *x = (const double *)c->data + row + i;
            __m256d a = _mm256_loadu_pd(x), b = _mm256_loadu_pd(x + 4);
            __m128 p = _mm256_cvtpd_ps(a), q = _mm256_cvtpd_ps(b);
            bits = _mm256_castps_si256(_mm256_set_m128(q, p));
            __m256i up = _mm256_castpd_si256(_mm256_cmp_pd(_mm256_cvtps_pd(p), a, _CMP_GT_OQ));
            __m256i uq = _mm256_castpd_si256(_mm256_cmp_pd(_mm256_cvtps_pd(q), b, _CMP_GT_OQ));
            above = _mm256_permute4x64_epi64(
                _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(up),
                                                      _mm256_castsi256_ps(uq), 0x88)), 0xd8);
        } else {
            bits = _mm256_loadu_si256((const __m256i *)((const float *)c->data + row + i));
        }
        __m256i size = _mm256_and_si256(bits, magnitude), sign = _mm256_srai_epi32(bits, 31);
        __m256i nan = _mm256_cmpgt_epi32(size, inf);
        __m256i key = _mm256_sub_epi32(_mm256_xor_si256(size, sign), sign);
        key = _mm256_add_epi32(key, above);
        key = _mm256_blendv_epi8(key, _mm256_set1_epi32(KEY_NAN), nan);
        _mm256_store_si256((__m256i *)(keys + i), key);
        flags[i / 8] = (uint8_t)_mm256_movemask_ps(_mm256_castsi256_ps(nan));
    }
}

/* A level of the search: 8 thresholds stand in a register, those of deep levels in memory. */
INLINE TARGET2 __m256i level_avx2(const int32_t *search, int d, __m256i at) {
#define EIGHT(i) _mm256_permutevar8x32_epi32( \
        _mm256_loadu_si256((const __m256i *)(search + 8 * (i))), at)
#define EITHER(bit, low, high) _mm256_castps_si256(_mm256_blendv_ps( \
        _mm256_castsi256_ps(low), _mm256_castsi256_ps(high), \
        _mm256_castsi256_ps(_mm256_slli_epi32(at, 31 - (bit)))))
    if (d < 3) return EIGHT(0);
    if (d == 3) return EIGHT(1);
    if (d == 4) return EITHER(3, EIGHT(2), EIGHT(3));
    if (d == 5)
        return EITHER(4, EITHER(3, EIGHT(4), EIGHT(5)), EITHER(3, EIGHT(6), EIGHT(7)));
    return _mm256_i32gather_epi32(search, at, 4);
}

INLINE TARGET2 void ranks_avx2_of(const int32_t *keys, int n, const int32_t *search,
                                  const int depth, uint8_t *ranks) {
    const __m256i base = _mm256_set1_epi32(1 << depth);
    for (int i = 0; i < n; i += 16) {
        __m256i x = _mm256_load_si256((const __m256i *)(keys + i));
        __m256i y = _mm256_load_si256((const __m256i *)(keys + i + 8));
        __m256i a = _mm256_set1_epi32(1), b = a;
        _Pragma("GCC unroll 8") for (int d = 0; d < depth; d++) {
            __m256i s = level_avx2(search, d, a), t = level_avx2(search, d, b);
            a = _mm256_sub_epi32(_mm256_add_epi32(a, a), _mm256_cmpgt_epi32(x, s));
            b = _mm256_sub_epi32(_mm256_add_epi32(b, b), _mm256_cmpgt_epi32(y, t));
        }
        a = _mm256_sub_epi32(a, base);
        b = _mm256_sub_epi32(b, base);
        __m256i both = _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xd8);
        _mm_store_si128((__m128i *)(ranks + i),
                        _mm_packus_epi16(_mm256_castsi256_si128(both),
                                         _mm256_extracti128_si256(both, 1)));
    }
}

#define RANKS(NAME, ATTRIBUTE)                                                                 \
    ATTRIBUTE static void ranks_##NAME(const int32_t *keys, int n, const int32_t *search,      \
                                       int depth, uint8_t *ranks) {                            \
        switch (depth) {                                                                       \
        case 0: memset(ranks, 0, (size_t)n); break;                                            \
        case 1: ranks_##NAME##_of(keys, n, search, 1, ranks); break;                           \
        case 2: ranks_##NAME##_of(keys, n, search, 2, ranks); break;                           \
        case 3: ranks_##NAME##_of(keys, n, search, 3, ranks); break;                           \
        case 4: ranks_##NAME##_of(keys, n, search, 4, ranks); break;                           \
        case 5: ranks_##NAME##_of(keys, n, search, 5, ranks); break;                           \
        case 6: ranks_##NAME##_of(keys, n, search, 6, ranks); break;                           \
        case 7: ranks_##NAME##_of(keys, n, search, 7, ranks); break;                           \
        default: ranks_##NAME##_of(keys, n, search, 8, ranks);                                 \
        }                                                                                      \
    }
RANKS(avx2, TARGET2)

TARGET2 static void tests_avx2(const Test *test, const Test *end, const uint8_t *ranks, int words,
                               const uint64_t *missing, uint64_t *lines) {
    for (; test < end; test++) {
        uint64_t *line = lines + WORDS * test->line;
        if (test->op > OR_EQUAL) {
            tests_generic(test, test + 1, ranks, words, missing, lines);
            continue;
        }
        __m256i rank = _mm256_set1_epi8((char)test->rank);
        uint32_t *half = (uint32_t *)line;
        for (int i = 0; i < 2 * words; i++) {
            __m256i x = _mm256_load_si256((const __m256i *)(ranks + 32 * i));
            __m256i y = test->op == LESS_OR_EQUAL ? _mm256_min_epu8(x, rank) : rank;
            uint32_t bits = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, y));
            half[i] = test->op == OR_EQUAL ? half[i] | bits : bits;
        }
    }
}

TARGET2 static void codes_avx2(const uint64_t *planes, int n, int word, uint16_t *codes) {
    const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,
                                            2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i one_of_eight = _mm256_set1_epi64x(0x8040201008040201ull);
    for (int half = 0; half < 2; half++) {
        __m256i low = _mm256_setzero_si256(), high = low;
        for (int p = 0; p < n; p++) {
            uint32_t bits = (uint32_t)(planes[p * WORDS + word] >> (32 * half));
            __m256i x = _mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), spread);
            x = _mm256_cmpeq_epi8(_mm256_and_si256(x, one_of_eight), one_of_eight);
            x = _mm256_and_si256(x, _mm256_set1_epi8((char)(1 << (p & 7))));
            if (p < 8) low = _mm256_or_si256(low, x);
            else high = _mm256_or_si256(high, x);
        }
        low = _mm256_permute4x64_epi64(low, 0xd8);
        high = _mm256_permute4x64_epi64(high, 0xd8);
        __m256i *to = (__m256i *)(codes + 32 * half);
        _mm256_storeu_si256(to, _mm256_unpacklo_epi8(low, high));
        _mm256_storeu_si256(to + 1, _mm256_unpackhi_epi8(low, high));
    }
}

TARGET2 static void leaves_avx2(const Call *call, const Group *g, const Tree *tree,
                                const line *planes, int64_t row, int n) {
    uint16_t codes[64];
    for (int w = 0; 64 * w < n; w++) {
        int rest = n - 64 * w;
        codes_avx2((const uint64_t *)planes, tree->planes, w, codes);
        add_codes(call, g, tree, codes, row + 64 * w, rest < 64 ? rest : 64);
    }
}

/* ---- AVX-512 -------------------------------------------------------------------------- */

TARGET512 static void keys_avx512(const Column *c, int64_t row, int n, int32_t *keys,
                                  uint64_t *missing) {
    if (c->stride != (c->is_double ? 8 : 4)) {
        keys_generic(c, row, n, keys, missing);
        return;
    }
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff), inf = _mm512_set1_epi32(KEY_INF);
    const __m512i zero = _mm512_setzero_si512();
    uint16_t *flags = (uint16_t *)missing;
    for (int i = 0; i < ROWS; i += 16) {
        int rest = n - i;
        __mmask16 some = rest >= 16 ? 0xffff : rest > 0 ? (__mmask16)((1u << rest) - 1) : 0;
        __m512i bits;
        if (c->is_double) {
            const double *x = (const double *)c->data + row + i;
            /* Rounding down is that of the instruction, whatever the thread's mode. */
            __m256 p = _mm512_cvt_roundpd_ps(_mm512_maskz_loadu_pd((__mmask8)some, x),
                                             _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
            __m256 q = _mm512_cvt_roundpd_ps(_mm512_maskz_loadu_pd((__mmask8)(some >> 8), x + 8),
                                             _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
            bits = _mm512_castps_si512(_mm512_insertf32x8(_mm512_castps256_ps512(p), q, 1));
        } else {
            bits = _mm512_maskz_loadu_epi32(some, (const float *)c->data + row + i);
        }
        __m512i size = _mm512_and_si512(bits, magnitude);
        __mmask16 nan = _mm512_cmpgt_epi32_mask(size, inf);
        __m512i key = _mm512_mask_sub_epi32(size, _mm512_movepi32_mask(bits), zero, size);
        key = _mm512_mask_mov_epi32(key, nan, _mm512_set1_epi32(KEY_NAN));
        _mm512_store_si512(keys + i, key);
        flags[i / 16] = nan;
    }
}

/* Sixteen thresholds of the search stand in one register: no memory is gathered. */
#define DEEPER(table)                                                                        \
    do {                                                                                     \
        __mmask16 above = _mm512_cmpgt_epi32_mask(x, (table));                               \
        at = _mm512_add_epi32(at, at);                                                       \
        at = _mm512_mask_add_epi32(at, above, at, one);                                      \
    } while (0)
#define FROM2(t) _mm512_permutex2var_epi32((t)[0], at, (t)[1])
#define FROM4(t) _mm512_mask_mov_epi32(FROM2(t), _mm512_test_epi32_mask(at, bit5), FROM2((t) + 2))

INLINE TARGET512 void ranks_avx512_of(const int32_t *keys, int n, const int32_t *search,
                                      const int depth, uint8_t *ranks) {
    const __m512i one = _mm512_set1_epi32(1), bit5 = _mm512_set1_epi32(32);
    const __m512i bit6 = _mm512_set1_epi32(64), base = _mm512_set1_epi32(1 << depth);
    __m512i t[16];
    for (int i = 0; i < (depth > 4 ? 1 << (depth - 4) : 1); i++)
        t[i] = _mm512_loadu_si512(search + 16 * i);
    for (int i = 0; i < n; i += 16) {
        __m512i x = _mm512_load_si512(keys + i), at = one;
        for (int d = 0; d < depth && d < 4; d++) DEEPER(_mm512_permutexvar_epi32(at, t[0]));
        if (depth > 4) DEEPER(_mm512_permutexvar_epi32(at, t[1]));
        if (depth > 5) DEEPER(FROM2(t + 2));
        if (depth > 6) DEEPER(FROM4(t + 4));
        if (depth > 7)
            DEEPER(_mm512_mask_mov_epi32(FROM4(t + 8), _mm512_test_epi32_mask(at, bit6),
                                         FROM4(t + 12)));
        at = _mm512_sub_epi32(at, base);
        _mm_store_si128((__m128i *)(ranks + i), _mm512_cvtepi32_epi8(at));
    }
}

RANKS(avx512, TARGET512)

TARGET512 static void tests_avx512(const Test *test, const Test *end, const uint8_t *ranks,
                                   int words, const uint64_t *missing, uint64_t *lines) {
    __m512i x[WORDS];
    for (int w = 0; w < WORDS; w++) x[w] = _mm512_load_si512(ranks + 64 * w);
    for (; test < end; test++) {
        uint64_t *line = lines + WORDS * test->line;
        __m512i rank = _mm512_set1_epi8((char)test->rank);
        if (test->op == LESS_OR_EQUAL && words > WORDS / 2) {
            for (int w = 0; w < WORDS; w++) line[w] = _mm512_cmple_epu8_mask(x[w], rank);
        } else if (test->op == OR_MISSING) {
            __m512i from = _mm512_load_si512(lines + WORDS * test->from);
            _mm512_store_si512(line, _mm512_or_si512(from, _mm512_load_si512(missing)));
        } else if (test->op == LESS_OR_EQUAL) {
            for (int w = 0; w < words; w++)
                line[w] = _mm512_cmple_epu8_mask(_mm512_load_si512(ranks + 64 * w), rank);
        } else if (test->op == NEVER) {
            _mm512_store_si512(line, _mm512_setzero_si512());
        } else {
            for (int w = 0; w < words; w++) {
                uint64_t bits = _mm512_cmpeq_epu8_mask(_mm512_load_si512(ranks + 64 * w), rank);
                line[w] = test->op == OR_EQUAL ? line[w] | bits : bits;
            }
        }
    }
}

/* Add the leaves of 64 rows, whose codes are bytes: gathered, or out of registers. */
INLINE TARGET512 void many_doubles(const double *leaves, const __m128i *codes, double *out) {
    for (int i = 0; i < 8; i++, out += 8) {
        __m128i code = i & 1 ? _mm_srli_si128(codes[i / 2], 8) : codes[i / 2];
        __m512d leaf = _mm512_i32gather_pd(_mm256_cvtepu8_epi32(code), leaves, 8);
        _mm512_storeu_pd(out, _mm512_add_pd(_mm512_loadu_pd(out), leaf));
    }
}

INLINE TARGET512 void many_floats(const float *leaves, const __m128i *codes, float *out) {
    for (int i = 0; i < 4; i++, out += 16) {
        __m512 leaf = _mm512_i32gather_ps(_mm512_cvtepu8_epi32(codes[i]), leaves, 4);
        _mm512_storeu_ps(out, _mm512_add_ps(_mm512_loadu_ps(out), leaf));
    }
}

INLINE TARGET512 void few_doubles(const double *leaves, int planes, const __m128i *codes,
                                  double *out) {
    __m512d t[4];
    for (int i = 0; i < 4; i++) {
        int rest = (1 << planes) - 8 * i;
        t[i] = _mm512_maskz_loadu_pd(rest >= 8 ? 0xff : rest > 0 ? (1 << rest) - 1 : 0,
                                     leaves + 8 * i);
    }
    for (int i = 0; i < 8; i++, out += 8) {
        __m128i code = i & 1 ? _mm_srli_si128(codes[i / 2], 8) : codes[i / 2];
        __m512i at = _mm512_cvtepu8_epi64(code);
        __m512d leaf = _mm512_permutex2var_pd(t[0], at, t[1]);
        __mmask8 upper = _mm512_test_epi64_mask(at, _mm512_set1_epi64(16));
        leaf = _mm512_mask_mov_pd(leaf, upper, _mm512_permutex2var_pd(t[2], at, t[3]));
        _mm512_storeu_pd(out, _mm512_add_pd(_mm512_loadu_pd(out), leaf));
    }
}

INLINE TARGET512 void few_floats(const float *leaves, int planes, const __m128i *codes,
                                 float *out) {
    __m512 t[4];
    for (int i = 0; i < 4; i++) {
        int rest = (1 << planes) - 16 * i;
        t[i] = _mm512_maskz_loadu_ps(rest >= 16 ? 0xffff : rest > 0 ? (1 << rest) - 1 : 0,
                                     leaves + 16 * i);
    }
    for (int i = 0; i < 4; i++, out += 16) {
        __m512i at = _mm512_cvtepu8_epi32(codes[i]);
        __m512 leaf = _mm512_permutex2var_ps(t[0], at, t[1]);
        __mmask16 upper = _mm512_test_epi32_mask(at, _mm512_set1_epi32(32));
        leaf = _mm512_mask_mov_ps(leaf, upper, _mm512_permutex2var_ps(t[2], at, t[3]));
        _mm512_storeu_ps(out, _mm512_add_ps(_mm512_loadu_ps(out), leaf));
    }
}

TARGET512 static void leaves_avx512(const Call *call, const Group *g, const Tree *tree,
                                    const line *planes, int64_t row, int n) {
    const uint64_t *bits = (const uint64_t *)planes;
    uint16_t codes[64] __attribute__((aligned(64)));
    for (int w = 0; 64 * w < n; w++) {
        int rest = n - 64 * w;
        __m512i low = _mm512_setzero_si512(), high = low;
        for (uint32_t p = 0; p < tree->planes; p++) {
            __m512i bit = _mm512_set1_epi8((char)(1 << (p & 7)));
            __mmask64 set = bits[p * WORDS + w];
            if (p < 8) low = _mm512_mask_add_epi8(low, set, low, bit);
            else high = _mm512_mask_add_epi8(high, set, high, bit);
        }
        if (tree->planes > 8 || call->aggregate != SUM || rest < 64) {
            __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
            low = _mm512_permutexvar_epi64(order, low);
            high = _mm512_permutexvar_epi64(order, high);
            _mm512_store_si512(codes, _mm512_unpacklo_epi8(low, high));
            _mm512_store_si512(codes + 32, _mm512_unpackhi_epi8(low, high));
            add_codes(call, g, tree, codes, row + 64 * w, rest < 64 ? rest : 64);
            continue;
        }
        for (uint32_t v = 0; v < tree->votes; v++) {
            int64_t at = g->votes[tree->vote_at + v] * call->rows + row + 64 * w;
            uint64_t first = tree->leaf_at + ((uint64_t)v << tree->planes);
            __m128i part[4] = {_mm512_extracti32x4_epi32(low, 0), _mm512_extracti32x4_epi32(low, 1),
                               _mm512_extracti32x4_epi32(low, 2), _mm512_extracti32x4_epi32(low, 3)};
            if (call->is_double && tree->planes <= 5)
                few_doubles((const double *)g->leaves + first, (int)tree->planes, part,
                            (double *)call->out + at);
            else if (call->is_double)
                many_doubles((const double *)g->leaves + first, part, (double *)call->out + at);
            else if (tree->planes <= 6)
                few_floats((const float *)g->leaves + first, (int)tree->planes, part,
                           (float *)call->out + at);
            else
                many_floats((const float *)g->leaves + first, part, (float *)call->out + at);
        }
    }
}
#endif

/* ---- small trees ----------------------------------------------------------------------- */

typedef struct {
    int32_t keys[ROWS];
    uint8_t ranks[ROWS];
    uint64_t missing[WORDS];
    line planes[16];
    line lines[];    /* one for each test, then two for each node of the largest tree */
} Dense;

#define DENSE(NAME, ATTRIBUTE, keys_of, ranks_of, tests_of, leaves_of)                           \
    ATTRIBUTE static void dense_##NAME(const Call *call, const Group *g, int64_t row, int n,     \
                                       line *reached) {                                          \
        Dense *s = (Dense *)call->scratch;                                                       \
        int words = (n + 63) / 64;                                                               \
        for (int f = 0; f < g->n_features; f++) {                                                \
            const Column *c = call->columns + g->columns[f];                                     \
            if (!f || g->columns[f] != g->columns[f - 1])                                        \
                keys_of(c, row, n, s->keys, s->missing);                                         \
            ranks_of(s->keys, 64 * words, g->search + g->search_at[f], g->depth[f], s->ranks);   \
            if (c->is_double)                                                                    \
                ties_##NAME(g, f, c, row, n, s->keys, s->ranks);                                 \
            tests_of(g->tests + g->test_at[f], g->tests + g->test_at[f + 1], s->ranks, words,    \
                     s->missing, (uint64_t *)s->lines);                                          \
        }                                                                                        \
        for (int t = 0; t < g->n_trees; t++) {                                                   \
            planes_##NAME(g, t, s->lines, reached, s->planes);                                   \
            leaves_of(call, g, g->trees + t, s->planes, row, n);                                 \
        }                                                                                        \
    }

INLINE void ties_portable(const Group *g, int f, const Column *c, int64_t row, int n,
                          const int32_t *keys, uint8_t *ranks) {
    for (int i = 0; i < n; i++)
        ranks[i] = (uint8_t)settled(g, f, c, row + i, keys[i], ranks[i]);
}
DENSE(portable, , keys_generic, ranks_generic, tests_generic, leaves_generic)

#ifdef X86
TARGET2 static void ties_avx2(const Group *g, int f, const Column *c, int64_t row, int n,
                              const int32_t *keys, uint8_t *ranks) {
    const int32_t *sorted = g->sorted + g->sorted_at[f];
    for (int i = 0; i < n; i += 8) {
        __m256i at = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(ranks + i)));
        __m256i same = _mm256_cmpeq_epi32(_mm256_i32gather_epi32(sorted, at, 4),
                                          _mm256_load_si256((const __m256i *)(keys + i)));
        if (_mm256_movemask_epi8(same))
            for (int j = i; j < i + 8 && j < n; j++)
                ranks[j] = (uint8_t)settled(g, f, c, row + j, keys[j], ranks[j]);
    }
}

TARGET512 static void ties_avx512(const Group *g, int f, const Column *c, int64_t row, int n,
                                  const int32_t *keys, uint8_t *ranks) {
    const int32_t *sorted = g->sorted + g->sorted_at[f];
    for (int i = 0; i < n; i += 16) {
        __m512i at = _mm512_cvtepu8_epi32(_mm_load_si128((const __m128i *)(ranks + i)));
        __mmask16 same = _mm512_cmpeq_epi32_mask(_mm512_i32gather_epi32(at, sorted, 4),
                                                 _mm512_load_si512(keys + i));
        if (same)
            for (int j = i; j < i + 16 && j < n; j++)
                ranks[j] = (uint8_t)settled(g, f, c, row + j, keys[j], ranks[j]);
    }
}

DENSE(avx2, TARGET2, keys_avx2, ranks_avx2, tests_avx2, leaves_avx2)
DENSE(avx512, TARGET512, keys_avx512, ranks_avx512, tests_avx512, leaves_avx512)
#endif

/* ---- large trees ----------------------------------------------------------------------- */

#define TILE 16           /* rows that go down together */
#define TILES 4           /* side by side, so that one's memory is fetched while another compares */
#define WALK (TILE * TILES)

/* The keys of a feature's rows, [tiles, features, 16]; of doubles the ranks among thresholds. */
static void tile_feature(const Call *call, const Group *g, int f, int64_t row, int64_t n,
                         int32_t *tiles) {
    const Column *c = call->columns + g->columns[f];
    const int64_t *wide = g->wide + g->sorted_at[f];
    const char *at = (const char *)c->data + row * c->stride;
    int32_t nan = g->missing_low[f] ? KEY_MISSING : INT32_MAX;
    for (int64_t i = 0; i < n; i++, at += c->stride) {
        int32_t key;
        if (c->is_double) {
            double x;
            memcpy(&x, at, 8);
            int64_t exact = wide_key(x);
            const int64_t *low = wide;
            for (uint32_t left = g->sorted_n[f]; left;) {
                uint32_t half = (left + 1) / 2;
                low += low[half - 1] < exact ? half : 0;
                left -= half;
            }
            key = x != x ? nan : (int32_t)(low - wide);
        } else {
            float x;
            memcpy(&x, at, 4);
            key = key_of(x);
            if (key == KEY_NAN) key = nan;
        }
        tiles[(i / TILE * g->n_features + f) * TILE + i % TILE] = key;
    }
}

INLINE void walk_generic(const Group *g, const Step *steps, const int32_t *tiles, uint32_t *leaf) {
    const uint32_t mask = (1u << g->feature_bits) - 1;
    for (int i = 0; i < WALK; i++) {
        const int32_t *keys = tiles + i / TILE * g->n_features * TILE + i % TILE;
        uint32_t at = 0;
        while (!(steps[at].next & LEAF)) {
            uint32_t next = steps[at].next;
            at = (next >> g->feature_bits) + (keys[(next & mask) * TILE] > (int32_t)steps[at].key);
        }
        leaf[i] = steps[at].key;
    }
}

#ifdef X86
TARGET512 static void walk_avx512(const Group *g, const Step *steps, const int32_t *tiles,
                                  uint32_t *leaf) {
    const __m512i mask = _mm512_set1_epi32((1 << g->feature_bits) - 1), one = _mm512_set1_epi32(1);
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i keys_at = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i is_leaf = _mm512_set1_epi32((int)LEAF);
    const __m128i bits = _mm_cvtsi32_si128((int)g->feature_bits);
    __m512i at[TILES], key[TILES];
    for (int i = 0; i < TILES; i++) at[i] = _mm512_setzero_si512();
    for (;;) {
        __mmask16 going = 0;
        for (int i = 0; i < TILES; i++) {
            __m512i a = _mm512_i32gather_epi64(_mm512_castsi512_si256(at[i]), steps, 8);
            __m512i b = _mm512_i32gather_epi64(_mm512_extracti32x8_epi32(at[i], 1), steps, 8);
            key[i] = _mm512_permutex2var_epi32(a, keys_at, b);
            __m512i next = _mm512_permutex2var_epi32(a, _mm512_add_epi32(keys_at, one), b);
            __mmask16 inner = _mm512_testn_epi32_mask(next, is_leaf);
            going |= inner;
            __m512i x_at = _mm512_add_epi32(_mm512_slli_epi32(_mm512_and_si512(next, mask), 4), lane);
            __m512i x = _mm512_mask_i32gather_epi32(key[i], inner, x_at,
                                                    tiles + i * g->n_features * TILE, 4);
            __mmask16 right = _mm512_cmpgt_epi32_mask(x, key[i]);
            next = _mm512_srl_epi32(next, bits);
            next = _mm512_mask_add_epi32(next, right, next, one);
            at[i] = _mm512_mask_mov_epi32(at[i], inner, next);
        }
        if (!going) break;
    }
    for (int i = 0; i < TILES; i++) _mm512_storeu_si512(leaf + TILE * i, key[i]);
}

TARGET2 static void walk_avx2(const Group *g, const Step *steps, const int32_t *tiles,
                              uint32_t *leaf) {
    const __m256i mask = _mm256_set1_epi32((1 << g->feature_bits) - 1);
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m128i bits = _mm_cvtsi32_si128((int)g->feature_bits);
    for (int first = 0; first < WALK; first += 32) {
        __m256i at[4], key[4];
        for (int i = 0; i < 4; i++) at[i] = _mm256_setzero_si256();
        for (;;) {
            __m256i all = _mm256_set1_epi32(-1);
            for (int i = 0; i < 4; i++) {
                const int32_t *x0 = tiles + (first + 8 * i) / TILE * g->n_features * TILE
                                    + (first + 8 * i) % TILE;
                key[i] = _mm256_i32gather_epi32((const int *)steps, at[i], 8);
                __m256i next = _mm256_i32gather_epi32((const int *)steps + 1, at[i], 8);
                __m256i done = _mm256_srai_epi32(next, 31);
                all = _mm256_and_si256(all, done);
                __m256i x_at = _mm256_add_epi32(
                    _mm256_slli_epi32(_mm256_andnot_si256(done, _mm256_and_si256(next, mask)), 4), lane);
                __m256i x = _mm256_i32gather_epi32(x0, x_at, 4);
                __m256i right = _mm256_cmpgt_epi32(x, key[i]);
                next = _mm256_sub_epi32(_mm256_srl_epi32(next, bits), right);
                at[i] = _mm256_blendv_epi8(next, at[i], done);
            }
            if (_mm256_movemask_epi8(all) == -1) break;
        }
        for (int i = 0; i < 4; i++) _mm256_storeu_si256((__m256i *)(leaf + first + 8 * i), key[i]);
    }
}
#endif

static void add_leaves(const Call *call, const Group *g, const Tree *tree, const uint32_t *leaf,
                       int64_t row, int n) {
    for (uint32_t v = 0; v < tree->votes; v++) {
        int64_t at = g->votes[tree->vote_at + v] * call->rows + row;
        uint64_t first = tree->leaf_at + (uint64_t)v * tree->planes; /* here: the number of leaves */
        for (int i = 0; i < n; i++) {
            if (call->is_double) {
                double x = ((const double *)g->leaves)[first + leaf[i]];
                double *out = (double *)call->out + at + i;
                if (call->aggregate == SUM) *out += x;
                else if (call->aggregate == MIN ? x < *out : x > *out) *out = x;
            } else {
                float x = ((const float *)g->leaves)[first + leaf[i]];
                float *out = (float *)call->out + at + i;
                if (call->aggregate == SUM) *out += x;
                else if (call->aggregate == MIN ? x < *out : x > *out) *out = x;
            }
        }
    }
}

static void walk(const Call *call, const Group *g, int64_t row, int64_t n) {
    int32_t *tiles = (int32_t *)call->scratch;
    uint32_t leaf[WALK];
    int64_t padded = (n + WALK - 1) / WALK * WALK;
    memset(tiles + n / TILE * TILE * g->n_features, 0,
           (size_t)(4 * (padded - n / TILE * TILE) * g->n_features));
    for (int f = 0; f < g->n_features; f++) tile_feature(call, g, f, row, n, tiles);
    for (int t = 0; t < g->n_trees; t++) {
        const Tree *tree = g->trees + t;
        for (int64_t i = 0; i < n; i += WALK) {
            const Step *steps = g->steps + tree->node_at;
            const int32_t *keys = tiles + i * g->n_features;
            switch (call->level) {
#ifdef X86
            case AVX512: walk_avx512(g, steps, keys, leaf); break;
            case AVX2: walk_avx2(g, steps, keys, leaf); break;
#endif
            default: walk_generic(g, steps, keys, leaf);
            }
            add_leaves(call, g, tree, leaf, row + i, (int)(n - i < WALK ? n - i : WALK));
        }
    }
}

/* ---- what Python calls ------------------------------------------------------------------- */

#define MANY 4096         /* rows for which a group's tables stay in the cache */

/* Changes with the structures above; the Python side asks for it. */
int sqlml_format(void) { return 1; }

/* The best path of this CPU. */
int64_t sqlml_level(void) {
#ifdef X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return AVX512;
    if (__builtin_cpu_supports("avx2")) return AVX2;
#endif
    return PORTABLE;
}

/* The bytes of scratch memory, aligned to 64, that a call needs. */
int64_t sqlml_scratch(int64_t lines, int64_t nodes, int64_t walk_features) {
    int64_t dense = (int64_t)sizeof(Dense) + 64 * (lines + 2 * nodes + 2);
    int64_t tiles = 4 * (MANY + WALK) * walk_features;
    return dense > tiles ? dense : tiles;
}

/* `lines`: the tests of the largest group, as they were given to sqlml_scratch. */
void sqlml_trees(const Call *call, int64_t lines) {
    line *reached = ((Dense *)call->scratch)->lines + lines;
    for (int64_t from = 0; from < call->rows; from += MANY) {
        int64_t to = from + MANY < call->rows ? from + MANY : call->rows;
        for (int64_t i = 0; i < call->n_groups; i++) {
            const Group *g = call->groups + i;
            if (!g->is_dense) {
                walk(call, g, from, to - from);
                continue;
            }
            for (int64_t row = from; row < to; row += ROWS) {
                int n = (int)(to - row < ROWS ? to - row : ROWS);
                switch (call->level) {
#ifdef X86
                case AVX512: dense_avx512(call, g, row, n, reached); break;
                case AVX2: dense_avx2(call, g, row, n, reached); break;
#endif
                default: dense_portable(call, g, row, n, reached);
                }
            }
        }
    }
}
