/* What one core can do at most, for scripts/benchmark/roofline.py. */

#if defined(__AVX512F__)
#define WIDTH 16
#elif defined(__AVX__)
#define WIDTH 8
#else
#define WIDTH 4
#endif
#define SUMS 12 /* enough to hide the latency of a multiply-add, and few enough for 16 registers */

typedef float vector __attribute__((vector_size(WIDTH * sizeof(float))));

/* Multiply and add `steps` times in registers; return the number of floating-point operations. */
double multiply_add(long steps, float *result) {
    vector sum[SUMS], factor, term;
    for (unsigned k = 0; k < WIDTH; k++) factor[k] = result[0], term[k] = result[1];
    for (int c = 0; c < SUMS; c++) sum[c] = term * (float)c;
    for (long step = 0; step < steps; step++)
        for (int c = 0; c < SUMS; c++) sum[c] = sum[c] * factor + term;
    for (int c = 1; c < SUMS; c++) sum[0] += sum[c];
    result[0] = sum[0][0];
    return 2.0 * WIDTH * SUMS * steps;
}

/* Add a multiple of one array to another; return the bytes that are read and written. */
double add_scaled(long size, float factor, const float *restrict x, float *restrict y) {
    for (long k = 0; k < size; k++) y[k] += factor * x[k];
    return 3.0 * sizeof(float) * size;
}
