/* A step of S multilayer perceptrons, forward and then backward with Adam: one network after the other.

   Compiled and called by src/engines/native/engine.py. Matrices are row-major. A network stays in the cache from its first product to
   its last, and nothing that is computed for it depends on how many others there are. */

#include <math.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#elif defined(__AVX__)
#define LANES 8
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define ODD 1, 3, 5, 7, 9, 11, 13, 15
#else
#define LANES 4
#define EVEN 0, 2, 4, 6
#define ODD 1, 3, 5, 7
#endif

#define INLINE static inline __attribute__((always_inline)) /* so that counts in capitals are constants */
#define POINTS 5  /* in work at once, in a product with W */
#define TILE (LANES / 4) /* vectors of columns in work at once; with POINTS, what the registers hold */
#define ROWS 8    /* of W in work at once, in its gradient; src/engines/native/engine.py knows it too */

typedef float vector __attribute__((vector_size(4 * LANES)));

enum { IDENTITY, RELU, SIGMOID, TANH };

typedef struct {
    long inputs, outputs, stride; /* W is inputs x outputs, and its rows are stride apart */
    long activation;
    long weight, weight_step; /* where W of the first network lies in the buffers, and how far the next one is */
    long bias, bias_step;
    float *y;        /* (S, B, outputs), after the activation */
    float *dz;       /* (B, outputs), of the network in work */
    float *gradient; /* (ROWS, stride), or all rows if narrow, of the network in work; zero beyond the outputs */
    float *column;   /* (inputs) */
} layer;

typedef struct {
    float *values, *exp_avg, *exp_avg_sq; /* buffers as src/engines/flat_parameters.py lays them out */
    float rate, correction;               /* lr / (1 - beta1^t), 1 / sqrt(1 - beta2^t) */
    float news1, news2;                   /* 1 - beta1, 1 - beta2 */
    float eps, l2, decay;                 /* l2: weight_decay of Adam; decay: 1 - lr weight_decay of AdamW */
} optimizer;

INLINE vector load(const float *from) {
    vector v;
    memcpy(&v, from, sizeof v);
    return v;
}

INLINE void store(float *to, vector v) { memcpy(to, &v, sizeof v); }

INLINE long least(long a, long b) { return a < b ? a : b; }

/* y = x W + b for P points and T vectors of columns, of which the last may overlap the one before. */
INLINE void affine_tile(const int P, const int T, const layer *l, const float *w, const float *b, const float *x,
                        float *y, long column) {
    vector sum[POINTS][TILE];
    long at[TILE];
    for (int t = 0; t < T; t++) {
        at[t] = least(column + t * LANES, l->outputs - LANES);
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
    if (l->outputs < LANES) {
        for (int p = 0; p < P; p++)
            for (long j = 0; j < l->outputs; j++) {
                float sum = b[j];
                for (long i = 0; i < l->inputs; i++) sum += x[p * l->inputs + i] * w[i * l->stride + j];
                y[p * l->outputs + j] = sum;
            }
        return;
    }
    long column = 0;
    for (; column + (TILE - 1) * LANES < l->outputs; column += TILE * LANES)
        affine_tile(P, TILE, l, w, b, x, y, column);
    for (; column < l->outputs; column += LANES) affine_tile(P, 1, l, w, b, x, y, column);
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
INLINE void add(float *restrict sum, float factor, const float *restrict x, long size) {
    for (long k = 0; k < size; k++) sum[k] += factor * x[k];
}

/* The sums of neighbours, first those of a and then those of b. */
INLINE vector fold(vector a, vector b) {
    return __builtin_shufflevector(a, b, EVEN) + __builtin_shufflevector(a, b, ODD);
}

/* dx = dz W' for P points: the scalar products of dz with the rows of W, for LANES rows at a time. */
INLINE void input_gradient(const int P, const layer *l, const float *w, const float *dz, float *dx) {
    long n = l->outputs, whole = n / LANES * LANES, last = n - LANES;
    if (l->inputs < LANES || n < LANES) { /* column by column of W, as what is long are its columns, if anything */
        memset(dx, 0, P * l->inputs * sizeof *dx);
        for (long j = 0; j < n; j++) {
            for (long i = 0; i < l->inputs; i++) l->column[i] = w[i * l->stride + j];
            for (int p = 0; p < P; p++) add(dx + p * l->inputs, dz[p * n + j], l->column, l->inputs);
        }
        return;
    }
    vector rest[POINTS]; /* the columns after the whole vectors, in the last lanes */
    for (int p = 0; p < P; p++) {
        float lanes[LANES] = {0};
        for (long j = whole; j < n; j++) lanes[j - last] = dz[p * n + j];
        rest[p] = load(lanes);
    }
    for (long i = 0; i < l->inputs; i += LANES) {
        long from = least(i, l->inputs - LANES);
        vector part[POINTS][4];
        for (int k = 0; k < LANES; k += 4) {
            const float *row = w + (from + k) * l->stride;
            vector sum[POINTS][4];
            for (int q = 0; q < 4; q++)
                for (int p = 0; p < P; p++) sum[p][q] = rest[p] * load(row + q * l->stride + last);
            for (long j = 0; j < whole; j += LANES)
                for (int q = 0; q < 4; q++) {
                    vector columns = load(row + q * l->stride + j);
                    for (int p = 0; p < P; p++) sum[p][q] += load(dz + p * n + j) * columns;
                }
            for (int p = 0; p < P; p++) part[p][k / 4] = fold(fold(sum[p][0], sum[p][1]), fold(sum[p][2], sum[p][3]));
        }
        for (int p = 0; p < P; p++) {
            vector *four = part[p];
            store(dx + p * l->inputs + from, LANES == 16  ? fold(fold(four[0], four[1]), fold(four[2], four[3]))
                                             : LANES == 8 ? fold(four[0], four[1])
                                                          : four[0]);
        }
    }
}

/* R rows of dW = x' dz, for all points: x has them `apart` in memory. */
INLINE void weight_gradient(const int R, const layer *l, const float *x, long apart, const float *dz, long points,
                            float *dw) {
    long n = l->outputs;
    if (n < LANES) {
        for (int r = 0; r < R; r++)
            for (long j = 0; j < n; j++) {
                float sum = 0;
                for (long p = 0; p < points; p++) sum += x[p * apart + r] * dz[p * n + j];
                dw[r * l->stride + j] = sum;
            }
        return;
    }
    for (long j = 0; j < n; j += LANES) {
        long from = least(j, n - LANES);
        vector sum[ROWS] = {0};
        for (long p = 0; p < points; p++) {
            vector d = load(dz + p * n + from);
            for (int r = 0; r < R; r++) sum[r] += x[p * apart + r] * d;
        }
        for (int r = 0; r < R; r++) store(dw + r * l->stride + from, sum[r]);
    }
}

/* dW = x' dz of a narrow layer, with fewer outputs than a vector has lanes: column by column. */
static void narrow_gradient(const layer *l, const float *x, const float *dz, long points) {
    for (long j = 0; j < l->outputs; j++) {
        memset(l->column, 0, l->inputs * sizeof *l->column);
        for (long p = 0; p < points; p++) add(l->column, dz[p * l->outputs + j], x + p * l->inputs, l->inputs);
        for (long i = 0; i < l->inputs; i++) l->gradient[i * l->stride + j] = l->column[i];
    }
}

/* A step of Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019) for some parameters with gradient g. */
static void update(const optimizer *o, long at, const float *restrict g, long size) {
    float *restrict w = o->values + at, *restrict m = o->exp_avg + at, *restrict v = o->exp_avg_sq + at;
    for (long k = 0; k < size; k++) {
        float slope = g[k] + o->l2 * w[k];
        m[k] += o->news1 * (slope - m[k]);
        v[k] += o->news2 * (slope * slope - v[k]);
        w[k] = o->decay * w[k] - o->rate * m[k] / (sqrtf(v[k]) * o->correction + o->eps);
    }
}

/* The gradient of a layer's parameters, some rows at a time, each at once followed by its step; a narrow layer whole. */
static void descend(const layer *l, const optimizer *o, long seed, const float *x, const float *dz, long points) {
    const float one = 1;
    long weight = l->weight + seed * l->weight_step;
    if (l->outputs < LANES) {
        narrow_gradient(l, x, dz, points);
        update(o, weight, l->gradient, l->inputs * l->stride);
    } else {
        for (long i = 0, rows; i < l->inputs; i += rows) {
            rows = i + ROWS <= l->inputs ? ROWS : 1;
            if (rows == ROWS) weight_gradient(ROWS, l, x + i, l->inputs, dz, points, l->gradient);
            else weight_gradient(1, l, x + i, l->inputs, dz, points, l->gradient);
            update(o, weight + i * l->stride, l->gradient, rows * l->stride);
        }
    }
    weight_gradient(1, l, &one, 0, dz, points, l->gradient); /* the bias is a row of W whose input is 1 */
    update(o, l->bias + seed * l->bias_step, l->gradient, l->outputs);
}

#define IN_GROUPS(points, call)                                                                                        \
    for (long p = 0; p < points; p += POINTS) switch (least(POINTS, points - p)) {                                      \
        case 5: call(5); break;                                                                                        \
        case 4: call(4); break;                                                                                        \
        case 3: call(3); break;                                                                                        \
        case 2: call(2); break;                                                                                        \
        case 1: call(1);                                                                                               \
        }

/* The outputs of S networks for their points x, (S, B, inputs), into y of the last layer. */
void forward(const layer *layers, long depth, const float *values, long seeds, long points, const float *x) {
    for (long s = 0; s < seeds; s++) {
        const float *in = x + s * points * layers->inputs;
        for (const layer *l = layers; l < layers + depth; l++) {
            const float *w = values + l->weight + s * l->weight_step, *b = values + l->bias + s * l->bias_step;
            float *y = l->y + s * points * l->outputs;
#define CALL(P) affine(P, l, w, b, in + p * l->inputs, y + p * l->outputs)
            IN_GROUPS(points, CALL)
            activate(l->activation, y, points * l->outputs);
            in = y;
        }
    }
}

/* A step of S networks after their forward, down the gradient dy, (S, B, outputs), of their outputs. */
void backward(const layer *layers, long depth, const optimizer *o, long seeds, long points, const float *x,
              const float *dy) {
    for (long s = 0; s < seeds; s++) {
        const layer *l = layers + depth - 1;
        const float *dz = dy + s * points * l->outputs;
        for (; l > layers; l--) {
            const float *w = o->values + l->weight + s * l->weight_step, *in = l[-1].y + s * points * l->inputs;
            float *dx = l[-1].dz;
#undef CALL
#define CALL(P) input_gradient(P, l, w, dz + p * l->outputs, dx + p * l->inputs)
            IN_GROUPS(points, CALL)
            differentiate(l[-1].activation, dx, in, points * l->inputs);
            descend(l, o, s, in, dz, points);
            dz = dx;
        }
        descend(l, o, s, x + s * points * l->inputs, dz, points);
    }
}
