/* A training step of S multilayer perceptrons with Adam, one network after the other.

   Compiled by src/engines/native/compile.py and called by src/engines/native/engine.py. Matrices are row-major. A
   network stays in the processor's cache from its first product to its last, and no result depends on S. */

#include <math.h>
#include <string.h>

#if defined(__AVX512F__)
#define SIMD_WIDTH 16
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#elif defined(__AVX__)
#define SIMD_WIDTH 8
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define ODD 1, 3, 5, 7, 9, 11, 13, 15
#else
#define SIMD_WIDTH 4
#define EVEN 0, 2, 4, 6
#define ODD 1, 3, 5, 7
#endif

#define INLINE static inline __attribute__((always_inline)) /* so that arguments in capitals are constants */

/* Tile sizes, such that the sums of a tile fit into the vector registers. */
#define SAMPLE_TILE 5                /* samples, in products with W */
#define COLUMN_TILE (SIMD_WIDTH / 4) /* vectors of columns, in products with W */
#define ROW_TILE 8                   /* rows of W, in its gradient; engine.py has the same number */

typedef float vector __attribute__((vector_size(4 * SIMD_WIDTH)));

enum { IDENTITY, RELU, SIGMOID, TANH };

typedef struct {
    long inputs, outputs, stride; /* W is inputs x outputs, and its rows are `stride` floats apart */
    long activation;
    long weight, weight_step; /* index of W of the first network in the buffers, and distance to the next network's */
    long bias, bias_step;
    float *y;        /* (S, B, outputs), after the activation */
    float *dz;       /* (B, outputs), of one network */
    float *gradient; /* (ROW_TILE, stride) of one network, or all rows of a narrow layer; zero beyond the outputs */
    float *column;   /* (inputs) */
} layer;

typedef struct {
    float *values, *exp_avg, *exp_avg_sq; /* buffers as src/engines/flat_parameters.py lays them out */
    float step_size;                 /* lr / (1 - beta1^t) */
    float inv_bias_correction2_sqrt; /* 1 / sqrt(1 - beta2^t) */
    float one_minus_beta1, one_minus_beta2;
    float eps;
    float weight_decay; /* of Adam, added to the gradient; 0 for AdamW */
    float weight_scale; /* 1 - lr weight_decay for AdamW; 1 for Adam */
} optimizer;

INLINE vector load(const float *from) {
    vector v;
    memcpy(&v, from, sizeof v);
    return v;
}

INLINE void store(float *to, vector v) { memcpy(to, &v, sizeof v); }

INLINE long min_long(long a, long b) { return a < b ? a : b; }

/* y = x W + b for P samples and T vectors of columns, of which the last may overlap the one before. */
INLINE void affine_tile(const int P, const int T, const layer *l, const float *w, const float *b, const float *x,
                        float *y, long column) {
    vector sum[SAMPLE_TILE][COLUMN_TILE];
    long at[COLUMN_TILE];
    for (int t = 0; t < T; t++) {
        at[t] = min_long(column + t * SIMD_WIDTH, l->outputs - SIMD_WIDTH);
        for (int p = 0; p < P; p++) sum[p][t] = load(b + at[t]);
    }
    for (long i = 0; i < l->inputs; i++)
        for (int t = 0; t < T; t++) {
            vector row = load(w + i * l->stride + at[t]);
            for (int p = 0; p < P; p++) sum[p][t] += x[p * l->inputs + i] * row;
        }
    for (int p = 0; p < P; p++)
        for (int t = 0; t < T; t++) store(y + p * l->outputs + at[t], sum[p][t]);
}

INLINE void affine(const int P, const layer *l, const float *w, const float *b, const float *x, float *y) {
    if (l->outputs < SIMD_WIDTH) {
        for (int p = 0; p < P; p++)
            for (long j = 0; j < l->outputs; j++) {
                float sum = b[j];
                for (long i = 0; i < l->inputs; i++) sum += x[p * l->inputs + i] * w[i * l->stride + j];
                y[p * l->outputs + j] = sum;
            }
        return;
    }
    long column = 0;
    for (; column + (COLUMN_TILE - 1) * SIMD_WIDTH < l->outputs; column += COLUMN_TILE * SIMD_WIDTH)
        affine_tile(P, COLUMN_TILE, l, w, b, x, y, column);
    for (; column < l->outputs; column += SIMD_WIDTH) affine_tile(P, 1, l, w, b, x, y, column);
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

/* The sums of neighbours, first those of a and then those of b. */
INLINE vector pairwise_sums(vector a, vector b) {
    return __builtin_shufflevector(a, b, EVEN) + __builtin_shufflevector(a, b, ODD);
}

/* The sums of four neighbours, first those of v[0]. */
INLINE vector sums_of_four(const vector *v) {
    return pairwise_sums(pairwise_sums(v[0], v[1]), pairwise_sums(v[2], v[3]));
}

/* dx = dz W' for P samples: the scalar products of dz with the rows of W, for SIMD_WIDTH rows at a time. */
INLINE void input_gradient(const int P, const layer *l, const float *w, const float *dz, float *dx) {
    long n = l->outputs, full = n / SIMD_WIDTH * SIMD_WIDTH, last = n - SIMD_WIDTH;
    if (l->inputs < SIMD_WIDTH || n < SIMD_WIDTH) { 
        /* Column by column of W, whose rows are shorter than a vector or few. */
        memset(dx, 0, P * l->inputs * sizeof *dx);
        for (long j = 0; j < n; j++) {
            for (long i = 0; i < l->inputs; i++) l->column[i] = w[i * l->stride + j];
            for (int p = 0; p < P; p++) add_scaled(dx + p * l->inputs, dz[p * n + j], l->column, l->inputs);
        }
        return;
    }
    vector rest[SAMPLE_TILE]; /* the columns after the last full vector, in the last lanes */
    for (int p = 0; p < P; p++) {
        float lanes[SIMD_WIDTH] = {0};
        for (long j = full; j < n; j++) lanes[j - last] = dz[p * n + j];
        rest[p] = load(lanes);
    }
    for (long i = 0; i < l->inputs; i += SIMD_WIDTH) {
        long from = min_long(i, l->inputs - SIMD_WIDTH);
        vector part[SAMPLE_TILE][4];
        for (int k = 0; k < SIMD_WIDTH; k += 4) {
            const float *row = w + (from + k) * l->stride;
            vector sum[SAMPLE_TILE][4];
            for (int q = 0; q < 4; q++)
                for (int p = 0; p < P; p++) sum[p][q] = rest[p] * load(row + q * l->stride + last);
            for (long j = 0; j < full; j += SIMD_WIDTH)
                for (int q = 0; q < 4; q++) {
                    vector columns = load(row + q * l->stride + j);
                    for (int p = 0; p < P; p++) sum[p][q] += load(dz + p * n + j) * columns;
                }
            for (int p = 0; p < P; p++) part[p][k / 4] = sums_of_four(sum[p]);
        }
        for (int p = 0; p < P; p++) {
            vector *four = part[p];
            store(dx + p * l->inputs + from, SIMD_WIDTH == 16  ? sums_of_four(four)
                                             : SIMD_WIDTH == 8 ? pairwise_sums(four[0], four[1])
                                                               : four[0]);
        }
    }
}

/* R rows of dW = x' dz over all samples, whose inputs are `x_stride` floats apart. */
INLINE void weight_gradient(const int R, const layer *l, const float *x, long x_stride, const float *dz, long samples,
                            float *dw) {
    long n = l->outputs;
    if (n < SIMD_WIDTH) {
        for (int r = 0; r < R; r++)
            for (long j = 0; j < n; j++) {
                float sum = 0;
                for (long p = 0; p < samples; p++) sum += x[p * x_stride + r] * dz[p * n + j];
                dw[r * l->stride + j] = sum;
            }
        return;
    }
    for (long j = 0; j < n; j += SIMD_WIDTH) {
        long from = min_long(j, n - SIMD_WIDTH);
        vector sum[ROW_TILE] = {0};
        for (long p = 0; p < samples; p++) {
            vector d = load(dz + p * n + from);
            for (int r = 0; r < R; r++) sum[r] += x[p * x_stride + r] * d;
        }
        for (int r = 0; r < R; r++) store(dw + r * l->stride + from, sum[r]);
    }
}

/* dW = x' dz of a narrow layer, with fewer outputs than a vector has lanes: column by column. */
static void narrow_gradient(const layer *l, const float *x, const float *dz, long samples) {
    for (long j = 0; j < l->outputs; j++) {
        memset(l->column, 0, l->inputs * sizeof *l->column);
        for (long p = 0; p < samples; p++) add_scaled(l->column, dz[p * l->outputs + j], x + p * l->inputs, l->inputs);
        for (long i = 0; i < l->inputs; i++) l->gradient[i * l->stride + j] = l->column[i];
    }
}

/* A step of Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019) for some parameters with gradient g. */
static void adam_step(const optimizer *o, long at, const float *restrict g, long size) {
    float *restrict w = o->values + at, *restrict m = o->exp_avg + at, *restrict v = o->exp_avg_sq + at;
    for (long k = 0; k < size; k++) {
        float gradient = g[k] + o->weight_decay * w[k];
        m[k] += o->one_minus_beta1 * (gradient - m[k]);
        v[k] += o->one_minus_beta2 * (gradient * gradient - v[k]);
        w[k] = o->weight_scale * w[k] - o->step_size * m[k] / (sqrtf(v[k]) * o->inv_bias_correction2_sqrt + o->eps);
    }
}

/* Compute the gradient of a layer and take the step, ROW_TILE rows at a time, or all rows of a narrow layer. */
static void update_layer(const layer *l, const optimizer *o, long seed, const float *x, const float *dz, long samples) {
    const float one = 1;
    long weight = l->weight + seed * l->weight_step;
    if (l->outputs < SIMD_WIDTH) {
        narrow_gradient(l, x, dz, samples);
        adam_step(o, weight, l->gradient, l->inputs * l->stride);
    } else {
        for (long i = 0, rows; i < l->inputs; i += rows) {
            rows = i + ROW_TILE <= l->inputs ? ROW_TILE : 1;
            if (rows == ROW_TILE) weight_gradient(ROW_TILE, l, x + i, l->inputs, dz, samples, l->gradient);
            else weight_gradient(1, l, x + i, l->inputs, dz, samples, l->gradient);
            adam_step(o, weight + i * l->stride, l->gradient, rows * l->stride);
        }
    }
    weight_gradient(1, l, &one, 0, dz, samples, l->gradient); /* the bias is a row of W whose input is 1 */
    adam_step(o, l->bias + seed * l->bias_step, l->gradient, l->outputs);
}

#define FOR_SAMPLE_TILES(samples, call)                                                                                \
    for (long p = 0; p < samples; p += SAMPLE_TILE) switch (min_long(SAMPLE_TILE, samples - p)) {                      \
        case 5: call(5); break;                                                                                        \
        case 4: call(4); break;                                                                                        \
        case 3: call(3); break;                                                                                        \
        case 2: call(2); break;                                                                                        \
        case 1: call(1);                                                                                               \
        }

/* Write the outputs of S networks for their samples x, (S, B, inputs), into y of the last layer. */
void forward(const layer *layers, long depth, const float *values, long seeds, long samples, const float *x) {
    for (long s = 0; s < seeds; s++) {
        const float *in = x + s * samples * layers->inputs;
        for (const layer *l = layers; l < layers + depth; l++) {
            const float *w = values + l->weight + s * l->weight_step, *b = values + l->bias + s * l->bias_step;
            float *y = l->y + s * samples * l->outputs;
#define CALL(P) affine(P, l, w, b, in + p * l->inputs, y + p * l->outputs)
            FOR_SAMPLE_TILES(samples, CALL)
            activate(l->activation, y, samples * l->outputs);
            in = y;
        }
    }
}

/* Take a step of S networks after `forward`, given the gradient dy of their outputs, (S, B, outputs). */
void backward(const layer *layers, long depth, const optimizer *o, long seeds, long samples, const float *x,
              const float *dy) {
    for (long s = 0; s < seeds; s++) {
        const layer *l = layers + depth - 1;
        const float *dz = dy + s * samples * l->outputs;
        for (; l > layers; l--) {
            const float *w = o->values + l->weight + s * l->weight_step, *in = l[-1].y + s * samples * l->inputs;
            float *dx = l[-1].dz;
#undef CALL
#define CALL(P) input_gradient(P, l, w, dz + p * l->outputs, dx + p * l->inputs)
            FOR_SAMPLE_TILES(samples, CALL)
            differentiate(l[-1].activation, dx, in, samples * l->inputs);
            update_layer(l, o, s, in, dz, samples);
            dz = dx;
        }
        update_layer(l, o, s, x + s * samples * l->inputs, dz, samples);
    }
}
