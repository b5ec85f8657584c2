/* A training step of S multilayer perceptrons with Adam, one network after the other.

   Compiled by src/engines/native/compile.py and called by src/engines/native/engine.py. Matrices are row-major. A
   network stays in the processor's cache from its first product to its last, and no result depends on S. */

#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX512F__) && defined(__AVX__) /* a test defines the first alone, to emulate such registers */
#define FAST_RECIPROCAL
#include <immintrin.h>
#endif

/* The number of floats in a vector register, and that of registers. NEIGHBOURS(0) and NEIGHBOURS(1) are the even and odd
   elements of each 128-bit lane of two vectors, LANES(0) and LANES(4) the even and odd lanes. */
#if defined(__AVX512F__)
#define SIMD_WIDTH 16
#define REGISTERS 32
#define NEIGHBOURS(k) \
    k, k + 2, k + 16, k + 18, k + 4, k + 6, k + 20, k + 22, k + 8, k + 10, k + 24, k + 26, k + 12, k + 14, k + 28, k + 30
#define LANES(k) \
    k, k + 1, k + 2, k + 3, k + 8, k + 9, k + 10, k + 11, k + 16, k + 17, k + 18, k + 19, k + 24, k + 25, k + 26, k + 27
#elif defined(__AVX__)
#define SIMD_WIDTH 8
#define REGISTERS 16
#define NEIGHBOURS(k) k, k + 2, k + 8, k + 10, k + 4, k + 6, k + 12, k + 14
#define LANES(k) k, k + 1, k + 2, k + 3, k + 8, k + 9, k + 10, k + 11
#else
#define SIMD_WIDTH 4
#if defined(__aarch64__)
#define REGISTERS 32
#else
#define REGISTERS 16
#endif
#define NEIGHBOURS(k) k, k + 2, k + 4, k + 6
#define LANES(k) 0, 1, 2, 3 /* not used, as a vector is one lane */
#endif

#define INLINE static inline __attribute__((always_inline)) /* so that arguments in capitals are constants */

/* Tile sizes, such that the sums of a tile fit into the vector registers. */
#define SAMPLE_TILE 5                   /* samples, in products with W and its transpose */
#define COLUMN_TILE (REGISTERS / 8)     /* vectors of columns, in products with W, and rows, in those with W' */
#define ROWS 8                          /* rows of W, in its gradient; engine.py has the same number */
#define ROW_TILE (REGISTERS / 4)        /* rows of W, in its gradient from many samples */
#define PANEL_TILE 3                    /* vectors of columns, there */

#define MANY_SAMPLES 16      /* from which on products copy their operands, to read them in order, */
#define TRANSPOSING_PAYS 128 /* and those with W' transpose it */

typedef float vector __attribute__((vector_size(4 * SIMD_WIDTH)));
typedef int mask __attribute__((vector_size(4 * SIMD_WIDTH)));

enum { IDENTITY, RELU, SIGMOID, TANH };
enum { CROSS_ENTROPY, SQUARED_ERROR };

typedef struct {
    long inputs, outputs, stride; /* W is inputs x outputs, and its rows are `stride` floats apart, */
    long x_step, y_step;          /* as those of x are `x_step`, and those of y and dz `y_step` */
    long activation;
    long weight, weight_step; /* index of W of the first network in the buffers, and distance to the next network's */
    long bias, bias_step;
    float *y;        /* (S, B, y_step), after the activation */
    float *dz;       /* (B, y_step), of one network */
    float *gradient; /* (ROWS, stride) of one network, or all rows of a narrow layer; zero beyond the outputs */
    float *column;   /* (inputs) */
    float *copy;     /* of operands of a product of many samples */
} layer;

typedef struct {
    float *values, *exp_avg, *exp_avg_sq; /* buffers as src/engines/flat_parameters.py lays them out */
    double lr, beta1, beta2, eps, weight_decay;
    long decoupled; /* whether it is AdamW */
} adam;

typedef struct { /* Adam in its t-th step */
    float *values, *exp_avg, *exp_avg_sq;
    float step_size;                 /* lr / (1 - beta1^t) */
    float inv_bias_correction2_sqrt; /* 1 / sqrt(1 - beta2^t) */
    float one_minus_beta1, one_minus_beta2;
    float eps;
    float weight_decay; /* of Adam, added to the gradient; 0 for AdamW */
    float weight_scale; /* 1 - lr weight_decay for AdamW; 1 for Adam */
} optimizer;

typedef struct {
    const float *x;        /* (steps, S, B, inputs), and below of the first network to train */
    const int64_t *target; /* (steps, S, B) */
    float *y;              /* (steps, S, B, outputs), to be written */
    long steps, stack, samples; /* steps, S and B */
} mini_batches;

INLINE vector load(const float *from) {
    vector v;
    memcpy(&v, from, sizeof v);
    return v;
}

INLINE void store(float *to, vector v) { memcpy(to, &v, sizeof v); }

/* The last `lanes` elements of a vector, and zeros before them. */
INLINE vector load_last(const float *from, long lanes) {
    static const int zeros_and_ones[2 * SIMD_WIDTH] = {[SIMD_WIDTH ... 2 * SIMD_WIDTH - 1] = -1};
    mask keep, bits;
    memcpy(&keep, zeros_and_ones + lanes, sizeof keep);
    memcpy(&bits, from, sizeof bits);
    bits &= keep;
    vector v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

INLINE long min_long(long a, long b) { return a < b ? a : b; }

/* The first column of vector t of a tile; the last vector may overlap the one before. */
INLINE long column_of(const layer *l, long column, int t) {
    return min_long(column + t * SIMD_WIDTH, l->outputs - SIMD_WIDTH);
}

/* y = x W + b for P samples and T vectors of columns. w[t] is vector t in the first row, and rows are w_stride apart. */
INLINE void affine_tile(const int P, const int T, const layer *l, const float *const *w, long w_stride, const float *b,
                        const float *x, float *y, long column) {
    vector sum[SAMPLE_TILE][COLUMN_TILE];
    for (int t = 0; t < T; t++)
        for (int p = 0; p < P; p++) sum[p][t] = load(b + column_of(l, column, t));
    for (long i = 0; i < l->inputs; i++)
        for (int t = 0; t < T; t++) {
            vector row = load(w[t] + i * w_stride);
            for (int p = 0; p < P; p++) sum[p][t] += x[p * l->x_step + i] * row;
        }
    for (int p = 0; p < P; p++)
        for (int t = 0; t < T; t++) store(y + p * l->y_step + column_of(l, column, t), sum[p][t]);
}

#define FOR_SAMPLE_TILES(samples, call)                                                                                \
    for (long p = 0; p < samples; p += SAMPLE_TILE) switch (min_long(SAMPLE_TILE, samples - p)) {                      \
        case 5: call(5); break;                                                                                        \
        case 4: call(4); break;                                                                                        \
        case 3: call(3); break;                                                                                        \
        case 2: call(2); break;                                                                                        \
        case 1: call(1);                                                                                               \
        }

/* y = x W + b for all samples and T vectors of columns. */
INLINE void affine_columns(const int T, const layer *l, const float *w, const float *b, const float *x, long samples,
                           float *y, long column) {
    const float *columns[COLUMN_TILE];
    long stride = l->stride;
    for (int t = 0; t < T; t++) columns[t] = w + column_of(l, column, t);
    if (samples >= MANY_SAMPLES) {
        stride = T * SIMD_WIDTH;
        for (long i = 0; i < l->inputs; i++)
            for (int t = 0; t < T; t++) store(l->copy + i * stride + t * SIMD_WIDTH, load(columns[t] + i * l->stride));
        for (int t = 0; t < T; t++) columns[t] = l->copy + t * SIMD_WIDTH;
    }
#define CALL(P) affine_tile(P, T, l, columns, stride, b, x + p * l->x_step, y + p * l->y_step, column)
    FOR_SAMPLE_TILES(samples, CALL)
#undef CALL
}

/* y = x W + b for P samples and fewer outputs than a vector has lanes, from copies of b and W, a vector a row. */
INLINE void narrow_affine(const int P, const layer *l, const float *x, float *y) {
    vector sum[SAMPLE_TILE];
    for (int p = 0; p < P; p++) sum[p] = load(l->copy);
    for (long i = 0; i < l->inputs; i++) {
        vector row = load(l->copy + (i + 1) * SIMD_WIDTH);
        for (int p = 0; p < P; p++) sum[p] += x[p * l->x_step + i] * row;
    }
    for (int p = 0; p < P; p++)
        for (long j = 0; j < l->outputs; j++) y[p * l->y_step + j] = sum[p][j];
}

/* y = x W + b. */
static void affine(const layer *l, const float *w, const float *b, const float *x, long samples, float *y) {
    if (l->outputs < SIMD_WIDTH) {
        for (long j = 0; j < l->outputs; j++) {
            l->copy[j] = b[j];
            for (long i = 0; i < l->inputs; i++) l->copy[(i + 1) * SIMD_WIDTH + j] = w[i * l->stride + j];
        }
#define CALL(P) narrow_affine(P, l, x + p * l->x_step, y + p * l->y_step)
        FOR_SAMPLE_TILES(samples, CALL)
#undef CALL
        return;
    }
    long column = 0;
    for (; column + (COLUMN_TILE - 1) * SIMD_WIDTH < l->outputs; column += COLUMN_TILE * SIMD_WIDTH)
        affine_columns(COLUMN_TILE, l, w, b, x, samples, y, column);
    for (; column < l->outputs; column += SIMD_WIDTH) affine_columns(1, l, w, b, x, samples, y, column);
}

/* y = f(z), in place. */
static void activate(long activation, float *z, long size) {
    for (long k = 0; k < size; k++)
        if (activation == RELU) z[k] = z[k] < 0 ? 0 : z[k]; /* as torch: NaN stays NaN */
        else if (activation == SIGMOID) z[k] = 1 / (1 + expf(-z[k]));
        else if (activation == TANH) z[k] = tanhf(z[k]);
}

/* dz = dy f'(z), in place, from y = f(z). */
static void differentiate(long activation, float *dy, const float *y, long size) {
    for (long k = 0; k < size; k++)
        if (activation == RELU) dy[k] = y[k] <= 0 ? 0 : dy[k];
        else if (activation == SIGMOID) dy[k] *= y[k] * (1 - y[k]);
        else if (activation == TANH) dy[k] *= 1 - y[k] * y[k];
}

/* sum += factor x. */
INLINE void add_scaled(float *restrict sum, float factor, const float *restrict x, long size) {
    for (long k = 0; k < size; k++) sum[k] += factor * x[k];
}

/* The sums of neighbours, in each lane first those of a and then those of b. */
INLINE vector neighbour_sums(vector a, vector b) {
    return __builtin_shufflevector(a, b, NEIGHBOURS(0)) + __builtin_shufflevector(a, b, NEIGHBOURS(1));
}

/* The sums of neighbouring lanes, first those of a and then those of b. */
INLINE vector lane_sums(vector a, vector b) {
    return __builtin_shufflevector(a, b, LANES(0)) + __builtin_shufflevector(a, b, LANES(4));
}

/* K columns of dx = dz W' for P samples: the scalar products of dz with as many rows of W. */
INLINE void input_gradient_tile(const int P, const int K, const layer *l, const float *w, const float *dz, float *dx) {
    long n = l->outputs, full = n / SIMD_WIDTH * SIMD_WIDTH, last = n - SIMD_WIDTH;
    const int Q = COLUMN_TILE < K ? COLUMN_TILE : K; /* rows at a time */
    vector part[SAMPLE_TILE][SIMD_WIDTH / 2];
    vector rest[SAMPLE_TILE]; /* the columns after the last full vector */
    for (int p = 0; p < P; p++) rest[p] = load_last(dz + p * l->y_step + last, n - full);
    for (int k = 0; k < K; k += Q) {
        const float *row = w + k * l->stride;
        vector sum[SAMPLE_TILE][COLUMN_TILE];
        for (int q = 0; q < Q; q++)
            for (int p = 0; p < P; p++) sum[p][q] = rest[p] * load(row + q * l->stride + last);
        for (long j = 0; j < full; j += SIMD_WIDTH)
            for (int q = 0; q < Q; q++) {
                vector columns = load(row + q * l->stride + j);
                for (int p = 0; p < P; p++) sum[p][q] += load(dz + p * l->y_step + j) * columns;
            }
        for (int p = 0; p < P; p++)
            for (int q = 0; q < Q; q += 2) part[p][(k + q) / 2] = neighbour_sums(sum[p][q], sum[p][q + 1]);
    }
    for (int p = 0; p < P; p++) { /* K / 4 lanes of 4 sums; all lanes of K = 4 have the same */
        for (int k = 0; k < K / 4; k++) part[p][k] = neighbour_sums(part[p][2 * k], part[p][2 * k + 1]);
        for (int size = K / 8; size > 0; size /= 2)
            for (int k = 0; k < size; k++) part[p][k] = lane_sums(part[p][2 * k], part[p][2 * k + 1]);
        for (int lanes = SIMD_WIDTH / K; lanes > 1; lanes /= 2) part[p][0] = lane_sums(part[p][0], part[p][0]);
        memcpy(dx + p * l->x_step, &part[p][0], K * sizeof *dx);
    }
}

/* K columns of dx = dz W' from column i on, for all samples; the last columns may overlap those before. */
INLINE void input_gradient_columns(const int K, const layer *l, const float *w, const float *dz, long samples, float *dx,
                                   long i) {
    const long from = min_long(i, l->inputs - K);
#define CALL(P) input_gradient_tile(P, K, l, w + from * l->stride, dz + p * l->y_step, dx + p * l->x_step + from)
    FOR_SAMPLE_TILES(samples, CALL)
#undef CALL
}

/* dx = dz W', column by column of W, whose rows are shorter than a vector or few. */
static void narrow_input_gradient(const layer *l, const float *w, const float *dz, long samples, float *dx) {
    memset(dx, 0, samples * l->x_step * sizeof *dx);
    for (long j = 0; j < l->outputs; j++) {
        for (long i = 0; i < l->inputs; i++) l->column[i] = w[i * l->stride + j];
        for (long p = 0; p < samples; p++) add_scaled(dx + p * l->x_step, dz[p * l->y_step + j], l->column, l->inputs);
    }
}

/* T vectors of columns of dx = dz W', from a copy of these columns of W'; the inputs of `t` are the outputs of W. */
INLINE void transposed_columns(const int T, const layer *t, const float *w, const float *dz, long samples, float *dx,
                               long column) {
    const float *columns[COLUMN_TILE];
    const long width = T * SIMD_WIDTH;
    for (int v = 0; v < T; v++) columns[v] = t->copy + v * SIMD_WIDTH;
    for (long start = 0; start < t->inputs; start += SIMD_WIDTH) /* in blocks that fit the first cache */
        for (int v = 0; v < T; v++) {
            const float *rows = w + column_of(t, column, v) * t->stride;
            for (long j = start; j < min_long(start + SIMD_WIDTH, t->inputs); j++)
                for (int lane = 0; lane < SIMD_WIDTH; lane++)
                    t->copy[j * width + v * SIMD_WIDTH + lane] = rows[lane * t->stride + j];
        }
#define CALL(P) affine_tile(P, T, t, columns, width, t->column, dz + p * t->x_step, dx + p * t->y_step, column)
    FOR_SAMPLE_TILES(samples, CALL)
#undef CALL
}

/* dx = dz W' for many samples. */
static void transposed_product(const layer *l, const float *w, const float *dz, long samples, float *dx) {
    layer t = *l;
    t.inputs = l->outputs, t.outputs = l->inputs, t.x_step = l->y_step, t.y_step = l->x_step;
    memset(t.column, 0, t.outputs * sizeof *t.column); /* instead of a bias */
    long column = 0;
    for (; column + (COLUMN_TILE - 1) * SIMD_WIDTH < t.outputs; column += COLUMN_TILE * SIMD_WIDTH)
        transposed_columns(COLUMN_TILE, &t, w, dz, samples, dx, column);
    for (; column < t.outputs; column += SIMD_WIDTH) transposed_columns(1, &t, w, dz, samples, dx, column);
}

/* dx = dz W'. */
static void input_gradient(const layer *l, const float *w, const float *dz, long samples, float *dx) {
    if (l->inputs < SIMD_WIDTH || l->outputs < SIMD_WIDTH) {
        narrow_input_gradient(l, w, dz, samples, dx);
        return;
    }
    if (samples >= TRANSPOSING_PAYS) {
        transposed_product(l, w, dz, samples, dx);
        return;
    }
    long i = 0;
    for (; l->inputs - i > SIMD_WIDTH / 2; i += SIMD_WIDTH) input_gradient_columns(SIMD_WIDTH, l, w, dz, samples, dx, i);
    for (; i < l->inputs; i += 4) input_gradient_columns(4, l, w, dz, samples, dx, i);
}

/* R rows of dW = x' dz over all samples, whose inputs are `x_step` floats apart. */
INLINE void weight_gradient(const int R, const layer *l, const float *x, long x_step, const float *dz, long samples,
                            float *dw) {
    long n = l->outputs;
    if (n < SIMD_WIDTH) {
        for (int r = 0; r < R; r++)
            for (long j = 0; j < n; j++) {
                float sum = 0;
                for (long p = 0; p < samples; p++) sum += x[p * x_step + r] * dz[p * l->y_step + j];
                dw[r * l->stride + j] = sum;
            }
        return;
    }
    for (long j = 0; j < n; j += SIMD_WIDTH) {
        long from = min_long(j, n - SIMD_WIDTH);
        vector sum[ROWS] = {0};
        for (long p = 0; p < samples; p++) {
            vector d = load(dz + p * l->y_step + from);
            for (int r = 0; r < R; r++) sum[r] += x[p * x_step + r] * d;
        }
        for (int r = 0; r < R; r++) store(dw + r * l->stride + from, sum[r]);
    }
}

/* PANEL_TILE vectors of columns of ROW_TILE rows of dW = x' dz, from copies of x and dz. */
INLINE void weight_gradient_tile(const layer *l, const float *x, const float *dz, long samples, float *dw, long column) {
    vector sum[ROW_TILE][PANEL_TILE] = {0};
    for (long p = 0; p < samples; p++)
        for (int t = 0; t < PANEL_TILE; t++) {
            vector d = load(dz + (p * PANEL_TILE + t) * SIMD_WIDTH);
            for (int r = 0; r < ROW_TILE; r++) sum[r][t] += x[p * ROWS + r] * d;
        }
    for (int r = 0; r < ROW_TILE; r++)
        for (int t = 0; t < PANEL_TILE; t++) store(dw + r * l->stride + column_of(l, column, t), sum[r][t]);
}

/* Copy dz in panels of PANEL_TILE vectors of columns, one after the other. */
static void copy_panels(const layer *l, const float *dz, long samples, float *to) {
    for (long column = 0; column < l->outputs; column += PANEL_TILE * SIMD_WIDTH)
        for (long p = 0; p < samples; p++)
            for (int t = 0; t < PANEL_TILE; t++, to += SIMD_WIDTH)
                store(to, load(dz + p * l->y_step + column_of(l, column, t)));
}

/* ROWS rows of dW = x' dz from the panels of many samples; `copy` (B, ROWS) is for their inputs. */
static void weight_gradient_panels(const layer *l, const float *x, const float *panels, long samples, float *copy) {
    for (long p = 0; p < samples; p++) memcpy(copy + p * ROWS, x + p * l->x_step, ROWS * sizeof *x);
    for (long column = 0; column < l->outputs; column += PANEL_TILE * SIMD_WIDTH) {
        for (int r = 0; r < ROWS; r += ROW_TILE)
            weight_gradient_tile(l, copy + r, panels, samples, l->gradient + r * l->stride, column);
        panels += samples * PANEL_TILE * SIMD_WIDTH;
    }
}

/* dW = x' dz of a narrow layer, with fewer outputs than a vector has lanes: column by column. */
static void narrow_gradient(const layer *l, const float *x, const float *dz, long samples) {
    for (long j = 0; j < l->outputs; j++) {
        memset(l->column, 0, l->inputs * sizeof *l->column);
        for (long p = 0; p < samples; p++) add_scaled(l->column, dz[p * l->y_step + j], x + p * l->x_step, l->inputs);
        for (long i = 0; i < l->inputs; i++) l->gradient[i * l->stride + j] = l->column[i];
    }
}

/* A step of Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019) for some parameters with gradient g. */
INLINE void adam_or_adamw_step(const int decays, const optimizer o, long at, const float *restrict g, long size) {
    float *restrict w = o.values + at, *restrict m = o.exp_avg + at, *restrict v = o.exp_avg_sq + at;
    long k = 0;
#if defined(FAST_RECIPROCAL)
    /* Roots and divisions of such vectors take turns on one unit, so instead of m / d this is m times a reciprocal of d:
       an estimate of 14 bits and a step of Newton's method, to about the last bit. */
    for (; k + SIMD_WIDTH <= size; k += SIMD_WIDTH) {
        vector weight = load(w + k), mean = load(m + k), square = load(v + k), gradient = load(g + k);
        if (decays) gradient += o.weight_decay * weight, weight *= o.weight_scale;
        mean += o.one_minus_beta1 * (gradient - mean);
        square += o.one_minus_beta2 * (gradient * gradient - square);
        vector divisor = (vector)_mm512_sqrt_ps((__m512)square) * o.inv_bias_correction2_sqrt + o.eps;
        vector reciprocal = (vector)_mm512_rcp14_ps((__m512)divisor);
        reciprocal *= 2 - divisor * reciprocal;
        store(m + k, mean), store(v + k, square), store(w + k, weight - o.step_size * mean * reciprocal);
    }
#endif
    for (; k < size; k++) {
        float weight = w[k], gradient = g[k];
        if (decays) gradient += o.weight_decay * weight, weight *= o.weight_scale;
        m[k] += o.one_minus_beta1 * (gradient - m[k]);
        v[k] += o.one_minus_beta2 * (gradient * gradient - v[k]);
        w[k] = weight - o.step_size * m[k] / (sqrtf(v[k]) * o.inv_bias_correction2_sqrt + o.eps);
    }
}

/* The same; weights that do not decay take less. */
static void adam_step(const optimizer *o, long at, const float *g, long size) {
    if (o->weight_decay == 0 && o->weight_scale == 1) adam_or_adamw_step(0, *o, at, g, size);
    else adam_or_adamw_step(1, *o, at, g, size);
}

/* Compute the gradient of a layer and take the step, some rows at a time, or all rows of a narrow layer. */
static void update_layer(const layer *l, const optimizer *o, long seed, const float *x, const float *dz, long samples) {
    const float one = 1;
    long weight = l->weight + seed * l->weight_step, i = 0;
    if (l->outputs < SIMD_WIDTH) {
        narrow_gradient(l, x, dz, samples);
        adam_step(o, weight, l->gradient, l->inputs * l->stride);
        i = l->inputs;
    } else if (samples >= MANY_SAMPLES) {
        float *copy = l->copy, *panels = copy + samples * ROWS;
        copy_panels(l, dz, samples, panels);
        for (; i + ROWS <= l->inputs; i += ROWS) {
            weight_gradient_panels(l, x + i, panels, samples, copy);
            adam_step(o, weight + i * l->stride, l->gradient, ROWS * l->stride);
        }
    }
    for (long rows = ROWS; i < l->inputs; i += rows) {
        while (i + rows > l->inputs) rows /= 2;
#define CALL(R) weight_gradient(R, l, x + i, l->x_step, dz, samples, l->gradient)
        switch (rows) {
        case 8: CALL(8); break; /* ROWS */
        case 4: CALL(4); break;
        case 2: CALL(2); break;
        case 1: CALL(1);
        }
#undef CALL
        adam_step(o, weight + i * l->stride, l->gradient, rows * l->stride);
    }
    weight_gradient(1, l, &one, 0, dz, samples, l->gradient); /* the bias is a row of W whose input is 1 */
    adam_step(o, l->bias + seed * l->bias_step, l->gradient, l->outputs);
}

/* Write the outputs of the network of a seed for its samples x into y of the last layer, at a place in y of the layers. */
static void forward_one(const layer *layers, long depth, const float *values, long seed, long place, const float *x,
                        long samples) {
    for (const layer *l = layers; l < layers + depth; l++) {
        float *y = l->y + place * samples * l->y_step;
        affine(l, values + l->weight + seed * l->weight_step, values + l->bias + seed * l->bias_step, x, samples, y);
        activate(l->activation, y, samples * l->y_step);
        x = y;
    }
}

/* Take a step of the network of a seed after `forward_one`, given the gradient dz of its outputs. */
static void backward_one(const layer *layers, long depth, const optimizer *o, long seed, long place, const float *x,
                         const float *dz, long samples) {
    for (const layer *l = layers + depth - 1; l > layers; l--) {
        const float *in = l[-1].y + place * samples * l->x_step;
        float *dx = l[-1].dz;
        input_gradient(l, o->values + l->weight + seed * l->weight_step, dz, samples, dx);
        differentiate(l[-1].activation, dx, in, samples * l->x_step);
        update_layer(l, o, seed, in, dz, samples);
        dz = dx;
    }
    update_layer(layers, o, seed, x, dz, samples);
}

/* dy = (softmax(y) - 1[k = target]) / B, the gradient of the mean cross-entropy. */
static void cross_entropy_gradient(const float *y, const int64_t *target, long samples, long outputs, float *dy) {
    for (long p = 0; p < samples; p++, y += outputs, dy += outputs) {
        float largest = y[0], sum = 0;
        for (long k = 1; k < outputs; k++) largest = y[k] > largest ? y[k] : largest;
        for (long k = 0; k < outputs; k++) sum += dy[k] = expf(y[k] - largest);
        for (long k = 0; k < outputs; k++) dy[k] = (dy[k] / sum - (k == target[p])) / samples;
    }
}

/* dy = 2 (y - target) / B, the gradient of the mean squared error to the label. */
static void squared_error_gradient(const float *y, const int64_t *target, long samples, float *dy) {
    for (long p = 0; p < samples; p++) dy[p] = (y[p] - target[p]) * (2.0f / samples);
}

/* Adam in its t-th step. */
static optimizer in_step(const adam *a, long t) {
    return (optimizer){
        .values = a->values,
        .exp_avg = a->exp_avg,
        .exp_avg_sq = a->exp_avg_sq,
        .step_size = a->lr / (1 - pow(a->beta1, t)),
        .inv_bias_correction2_sqrt = 1 / sqrt(1 - pow(a->beta2, t)),
        .one_minus_beta1 = 1 - a->beta1,
        .one_minus_beta2 = 1 - a->beta2,
        .eps = a->eps,
        .weight_decay = a->decoupled ? 0 : a->weight_decay,
        .weight_scale = a->decoupled ? 1 - a->lr * a->weight_decay : 1,
    };
}

/* The optimizer with a factor for its learning rate. */
static optimizer scaled(optimizer o, float factor) {
    o.step_size *= factor;
    o.weight_scale = 1 - factor * (1 - o.weight_scale);
    return o;
}

/* Write the outputs of S networks for their samples x, (S, B, inputs), into y of the last layer. */
void forward(const layer *layers, long depth, const float *values, long seeds, long samples, const float *x) {
    for (long s = 0; s < seeds; s++) forward_one(layers, depth, values, s, s, x + s * samples * layers->inputs, samples);
}

/* Take the t-th step of S networks after `forward`, given the gradient dy of their outputs, (S, B, outputs), and
   factors for the learning rate of each, (S), or none. */
void backward(const layer *layers, long depth, const adam *a, long t, long seeds, long samples, const float *x,
              const float *dy, const float *factors) {
    const optimizer shared = in_step(a, t);
    long outputs = layers[depth - 1].outputs;
    for (long s = 0; s < seeds; s++) {
        optimizer own = factors ? scaled(shared, factors[s]) : shared;
        backward_one(layers, depth, &own, s, s, x + s * samples * layers->inputs, dy + s * samples * outputs, samples);
    }
}

/* Take a step on each mini-batch, from the t-th on, of some networks of a stack: one after the other. Settings of the
   optimizer are `stride` apart: 1, or 0 where all steps have the same. */
void train(const layer *layers, long depth, const adam *a, long stride, long t, long seeds, const mini_batches *b,
           long loss, const float *factors) {
    layer own[depth], *last = own + depth - 1;
    optimizer optimizers[b->steps];
    memcpy(own, layers, sizeof own);
    for (long k = 0; k < b->steps; k++) optimizers[k] = in_step(a + k * stride, t + k);
    for (long s = 0; s < seeds; s++)
        for (long k = 0; k < b->steps; k++) {
            long first = (k * b->stack + s) * b->samples; /* sample, in the arrays */
            const float *x = b->x + first * layers->inputs;
            optimizer o = factors ? scaled(optimizers[k], factors[s]) : optimizers[k];
            last->y = b->y + first * last->outputs;
            forward_one(own, depth, o.values, s, 0, x, b->samples);
            if (loss == CROSS_ENTROPY)
                cross_entropy_gradient(last->y, b->target + first, b->samples, last->outputs, last->dz);
            else squared_error_gradient(last->y, b->target + first, b->samples, last->dz);
            backward_one(own, depth, &o, s, 0, x, last->dz, b->samples);
        }
}
