/* Trains perceptrons of several shapes for some steps by kernel.c, and prints their weights: the same on any processor
   but for rounding. */

#include <stdio.h>
#include <stdlib.h>

#include "kernel.c"

#define SEEDS 3
#define STEPS 4
#define TILE 96 /* columns of the widest tile, as in engine.py */

static float uniform(void) { /* in [-1, 1) */
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return (state >> 8) / 8388608.0f - 1;
}

static float *numbers(long size, float scale) {
    float *array = aligned_alloc(64, (size + 16) / 16 * 64);
    for (long k = 0; k < size; k++) array[k] = scale * uniform();
    return array;
}

static void run(const long *widths, long depth, long samples, long loss) {
    layer layers[depth];
    long size = 0, outputs = widths[depth], total = STEPS * SEEDS * samples, step = widths[0];
    for (long d = 0; d < depth; d++) {
        long inputs = widths[d], columns = widths[d + 1];
        long rows = columns >= 16 ? ROWS : inputs > ROWS ? inputs : ROWS;
        long copied = samples * (ROWS + columns + TILE) > inputs * TILE ? samples * (ROWS + columns + TILE) : inputs * TILE;
        layers[d] = (layer){
            .inputs = inputs,
            .outputs = columns,
            .stride = columns,
            .x_step = step,
            .y_step = d + 1 < depth ? (columns + 15) / 16 * 16 : columns,
            .activation = d + 1 < depth ? 1 + d % 3 : IDENTITY,
            .weight = size,
            .weight_step = inputs * columns,
            .bias = size + SEEDS * inputs * columns,
            .bias_step = columns,
            .y = numbers(SEEDS * samples * (columns + 15), 0),
            .dz = numbers(samples * (columns + 15), 0),
            .gradient = numbers(rows * columns, 0),
            .column = numbers(inputs, 0),
            .copy = numbers(copied, 0),
        };
        size += SEEDS * (inputs + 1) * columns;
        step = layers[d].y_step;
    }
    adam a = {numbers(size, 0.3f), numbers(size, 0), numbers(size, 0), 0.01, 0.9, 0.999, 1e-3, 0.01, 1};
    int64_t *target = malloc(total * sizeof *target);
    for (long k = 0; k < total; k++) target[k] = k % (loss == CROSS_ENTROPY ? outputs : 2);
    mini_batches b = {numbers(total * widths[0], 1), target, numbers(total * outputs, 0), STEPS, SEEDS, samples};
    train(layers, depth, &a, 0, 1, SEEDS, &b, loss, NULL);
    for (long k = 0; k < size; k++) printf("%.9g\n", a.values[k]);
}

int main(void) {
    long samples[] = {1, 5, 37, 130};
    for (int k = 0; k < 4; k++) {
        run((long[]){2, 50, 100, 50, 2}, 4, samples[k], CROSS_ENTROPY);
        run((long[]){3, 17, 8, 33, 1}, 4, samples[k], SQUARED_ERROR);
        run((long[]){64, 130, 67, 10}, 3, samples[k], CROSS_ENTROPY);
    }
    return 0;
}
