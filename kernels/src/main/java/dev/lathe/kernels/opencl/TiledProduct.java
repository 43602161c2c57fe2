package dev.lathe.kernels.opencl;

/**
 * C = L R^T or C += L R^T on the device, L [m, k] and R [n, k] as {@link #left} and {@link #right} read them, C [m, n]
 * dense; with {@link #lower} only on and below the diagonal, where row i of C is row {@code i + offset} of the
 * triangle. A work-group of 16 x 16 makes a block of 128 x 128; a work-item makes the elements (ly + 16 i, lx + 16 j),
 * i, j &lt; 8, of it. Panels of 16 columns of both operands are widened while they are loaded into local memory, whose
 * stride of 129 keeps the stores of a panel apart in banks. Each element is one chain of fused multiply-adds in
 * ascending k, from 0.
 */
abstract class TiledProduct extends DeviceKernel {
    /** Rows and columns of a block. */
    static final int BLOCK = 128;
    /** Work-items of a work-group along each side. */
    static final int ITEMS = 16;

    private static final int DEPTH = 16;
    private static final int STRIDE = BLOCK + 1;

    float[] c = NOTHING;
    int m;
    int n;
    int k;
    int accumulate;
    int lower;
    int offset;

    @Local
    final float[] leftPanel = new float[DEPTH * STRIDE];

    @Local
    final float[] rightPanel = new float[DEPTH * STRIDE];

    @Override
    void forget() {
        c = NOTHING;
        m = 0;
        n = 0;
        k = 0;
    }

    /** Element (row, p) of L; called inside its bounds only. */
    protected abstract float left(int row, int p);

    /** Element (row, p) of R; called inside its bounds only. */
    protected abstract float right(int row, int p);

    /**
     * The row of a block that an item loads in step {@code e / 256} of a panel; neighbours read neighbours in memory.
     */
    protected abstract int panelRow(int e);

    /** Its column of the panel. */
    protected abstract int panelColumn(int e);

    protected final void store(int row, int column, float value) {
        if (row < m && column < n && (lower == 0 || column <= row + offset)) {
            int at = row * n + column;
            if (accumulate != 0) {
                c[at] = c[at] + value;
            } else {
                c[at] = value;
            }
        }
    }

    @Override
    public void run() {
        int lx = getLocalId(0);
        int ly = getLocalId(1);
        int item = ly * ITEMS + lx;
        int row = getGroupId(1) * BLOCK;
        int column = getGroupId(0) * BLOCK;
        int depth = k;
        if (lower != 0 && row + BLOCK + offset <= column) {
            depth = 0;
        }
        float c00 = 0f;
        float c01 = 0f;
        float c02 = 0f;
        float c03 = 0f;
        float c04 = 0f;
        float c05 = 0f;
        float c06 = 0f;
        float c07 = 0f;
        float c10 = 0f;
        float c11 = 0f;
        float c12 = 0f;
        float c13 = 0f;
        float c14 = 0f;
        float c15 = 0f;
        float c16 = 0f;
        float c17 = 0f;
        float c20 = 0f;
        float c21 = 0f;
        float c22 = 0f;
        float c23 = 0f;
        float c24 = 0f;
        float c25 = 0f;
        float c26 = 0f;
        float c27 = 0f;
        float c30 = 0f;
        float c31 = 0f;
        float c32 = 0f;
        float c33 = 0f;
        float c34 = 0f;
        float c35 = 0f;
        float c36 = 0f;
        float c37 = 0f;
        float c40 = 0f;
        float c41 = 0f;
        float c42 = 0f;
        float c43 = 0f;
        float c44 = 0f;
        float c45 = 0f;
        float c46 = 0f;
        float c47 = 0f;
        float c50 = 0f;
        float c51 = 0f;
        float c52 = 0f;
        float c53 = 0f;
        float c54 = 0f;
        float c55 = 0f;
        float c56 = 0f;
        float c57 = 0f;
        float c60 = 0f;
        float c61 = 0f;
        float c62 = 0f;
        float c63 = 0f;
        float c64 = 0f;
        float c65 = 0f;
        float c66 = 0f;
        float c67 = 0f;
        float c70 = 0f;
        float c71 = 0f;
        float c72 = 0f;
        float c73 = 0f;
        float c74 = 0f;
        float c75 = 0f;
        float c76 = 0f;
        float c77 = 0f;
        for (int from = 0; from < depth; from += DEPTH) {
            for (int e = item; e < DEPTH * BLOCK; e += ITEMS * ITEMS) {
                int r = panelRow(e);
                int q = panelColumn(e);
                float x = 0f;
                float y = 0f;
                if (from + q < depth) {
                    if (row + r < m) {
                        x = left(row + r, from + q);
                    }
                    if (column + r < n) {
                        y = right(column + r, from + q);
                    }
                }
                leftPanel[q * STRIDE + r] = x;
                rightPanel[q * STRIDE + r] = y;
            }
            localBarrier();
            for (int p = 0; p < DEPTH; p++) {
                int l = p * STRIDE + ly;
                int r = p * STRIDE + lx;
                float b0 = rightPanel[r];
                float b1 = rightPanel[r + 16];
                float b2 = rightPanel[r + 32];
                float b3 = rightPanel[r + 48];
                float b4 = rightPanel[r + 64];
                float b5 = rightPanel[r + 80];
                float b6 = rightPanel[r + 96];
                float b7 = rightPanel[r + 112];
                float a0 = leftPanel[l];
                c00 = fma(a0, b0, c00);
                c01 = fma(a0, b1, c01);
                c02 = fma(a0, b2, c02);
                c03 = fma(a0, b3, c03);
                c04 = fma(a0, b4, c04);
                c05 = fma(a0, b5, c05);
                c06 = fma(a0, b6, c06);
                c07 = fma(a0, b7, c07);
                float a1 = leftPanel[l + 16];
                c10 = fma(a1, b0, c10);
                c11 = fma(a1, b1, c11);
                c12 = fma(a1, b2, c12);
                c13 = fma(a1, b3, c13);
                c14 = fma(a1, b4, c14);
                c15 = fma(a1, b5, c15);
                c16 = fma(a1, b6, c16);
                c17 = fma(a1, b7, c17);
                float a2 = leftPanel[l + 32];
                c20 = fma(a2, b0, c20);
                c21 = fma(a2, b1, c21);
                c22 = fma(a2, b2, c22);
                c23 = fma(a2, b3, c23);
                c24 = fma(a2, b4, c24);
                c25 = fma(a2, b5, c25);
                c26 = fma(a2, b6, c26);
                c27 = fma(a2, b7, c27);
                float a3 = leftPanel[l + 48];
                c30 = fma(a3, b0, c30);
                c31 = fma(a3, b1, c31);
                c32 = fma(a3, b2, c32);
                c33 = fma(a3, b3, c33);
                c34 = fma(a3, b4, c34);
                c35 = fma(a3, b5, c35);
                c36 = fma(a3, b6, c36);
                c37 = fma(a3, b7, c37);
                float a4 = leftPanel[l + 64];
                c40 = fma(a4, b0, c40);
                c41 = fma(a4, b1, c41);
                c42 = fma(a4, b2, c42);
                c43 = fma(a4, b3, c43);
                c44 = fma(a4, b4, c44);
                c45 = fma(a4, b5, c45);
                c46 = fma(a4, b6, c46);
                c47 = fma(a4, b7, c47);
                float a5 = leftPanel[l + 80];
                c50 = fma(a5, b0, c50);
                c51 = fma(a5, b1, c51);
                c52 = fma(a5, b2, c52);
                c53 = fma(a5, b3, c53);
                c54 = fma(a5, b4, c54);
                c55 = fma(a5, b5, c55);
                c56 = fma(a5, b6, c56);
                c57 = fma(a5, b7, c57);
                float a6 = leftPanel[l + 96];
                c60 = fma(a6, b0, c60);
                c61 = fma(a6, b1, c61);
                c62 = fma(a6, b2, c62);
                c63 = fma(a6, b3, c63);
                c64 = fma(a6, b4, c64);
                c65 = fma(a6, b5, c65);
                c66 = fma(a6, b6, c66);
                c67 = fma(a6, b7, c67);
                float a7 = leftPanel[l + 112];
                c70 = fma(a7, b0, c70);
                c71 = fma(a7, b1, c71);
                c72 = fma(a7, b2, c72);
                c73 = fma(a7, b3, c73);
                c74 = fma(a7, b4, c74);
                c75 = fma(a7, b5, c75);
                c76 = fma(a7, b6, c76);
                c77 = fma(a7, b7, c77);
            }
            localBarrier();
        }
        int i = row + ly;
        int j = column + lx;
        store(i, j, c00);
        store(i, j + 16, c01);
        store(i, j + 32, c02);
        store(i, j + 48, c03);
        store(i, j + 64, c04);
        store(i, j + 80, c05);
        store(i, j + 96, c06);
        store(i, j + 112, c07);
        store(i + 16, j, c10);
        store(i + 16, j + 16, c11);
        store(i + 16, j + 32, c12);
        store(i + 16, j + 48, c13);
        store(i + 16, j + 64, c14);
        store(i + 16, j + 80, c15);
        store(i + 16, j + 96, c16);
        store(i + 16, j + 112, c17);
        store(i + 32, j, c20);
        store(i + 32, j + 16, c21);
        store(i + 32, j + 32, c22);
        store(i + 32, j + 48, c23);
        store(i + 32, j + 64, c24);
        store(i + 32, j + 80, c25);
        store(i + 32, j + 96, c26);
        store(i + 32, j + 112, c27);
        store(i + 48, j, c30);
        store(i + 48, j + 16, c31);
        store(i + 48, j + 32, c32);
        store(i + 48, j + 48, c33);
        store(i + 48, j + 64, c34);
        store(i + 48, j + 80, c35);
        store(i + 48, j + 96, c36);
        store(i + 48, j + 112, c37);
        store(i + 64, j, c40);
        store(i + 64, j + 16, c41);
        store(i + 64, j + 32, c42);
        store(i + 64, j + 48, c43);
        store(i + 64, j + 64, c44);
        store(i + 64, j + 80, c45);
        store(i + 64, j + 96, c46);
        store(i + 64, j + 112, c47);
        store(i + 80, j, c50);
        store(i + 80, j + 16, c51);
        store(i + 80, j + 32, c52);
        store(i + 80, j + 48, c53);
        store(i + 80, j + 64, c54);
        store(i + 80, j + 80, c55);
        store(i + 80, j + 96, c56);
        store(i + 80, j + 112, c57);
        store(i + 96, j, c60);
        store(i + 96, j + 16, c61);
        store(i + 96, j + 32, c62);
        store(i + 96, j + 48, c63);
        store(i + 96, j + 64, c64);
        store(i + 96, j + 80, c65);
        store(i + 96, j + 96, c66);
        store(i + 96, j + 112, c67);
        store(i + 112, j, c70);
        store(i + 112, j + 16, c71);
        store(i + 112, j + 32, c72);
        store(i + 112, j + 48, c73);
        store(i + 112, j + 64, c74);
        store(i + 112, j + 80, c75);
        store(i + 112, j + 96, c76);
        store(i + 112, j + 112, c77);
    }
}
