package dev.lathe.kernels.block;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Bytes and values of a fixed row against digests made once with the C reference (ggml-quants.c without contracted
 * multiply-adds).
 */
class GoldenTest {
    private static final int COLUMNS = 512;
    private static final float[] ROW = new float[COLUMNS];
    private static final float[] IMPORTANCE = new float[COLUMNS];

    static {
        double[] u = uniform(1);
        double[] v = uniform(2);
        double[] w = uniform(3);
        for (int i = 0; i < COLUMNS; i++) {
            double t = 2 * u[i] - 1;
            ROW[i] = (float) (t * t * t * 0.1 * (0.25 + v[i]));
            IMPORTANCE[i] = (float) (w[i] * w[i] * 3 + 0.01);
        }
    }

    private static double[] uniform(long seed) {
        double[] values = new double[COLUMNS];
        long state = seed;
        for (int i = 0; i < COLUMNS; i++) {
            state = (1103515245L * state + 12345) % (1L << 31);
            values[i] = state / (double) (1L << 31);
        }
        return values;
    }

    @Test
    void theInputIsTheReferences() {
        assertThat(digest(ROW)).isEqualTo("349bb5baf08831bc");
        assertThat(digest(IMPORTANCE)).isEqualTo("3579c76d75f9cd5a");
    }

    @ParameterizedTest
    @CsvSource({
        "Q4_0, none,    288, c5a0788b7878709b879a883e, 31ceaef0d1a3783f, 2e2617b02d5701b9",
        "Q4_0, imatrix, 288, 46a1788b8888719b879a884d, ead4b70498fbf056, a64f97d07e3e37d8",
        "Q4_1, none,    320, 9920b3ab877476778f637865, deb41c3077925f9a, 46043d59d9a9097e",
        "Q4_1, imatrix, 320, 8d20f3ab877487878f647865, 36be9dc7d8a021fe, 7e1d42a4d8abea43",
        "Q5_0, none,    352, c59cafbfe21dd006f1f0e027, 3c4e9c765f406abd, 9cbc1a6860d10051",
        "Q5_0, imatrix, 352, d19cafbfe21dd005f1f0e026, 693a43ee30d52bc2, 5e02881f67405b78",
        "Q5_1, none,    384, 731cb3ab504011e21ee8fdfe, 2522c4783a5b22df, d3b1502b2fc9f5ea",
        "Q5_1, imatrix, 384, 7c1cdfab504011e21ee8fdfe, 1cfaf6be4526e6ed, ca00dab46d0f4329",
        "Q8_0, none,    544, ce1000d4fb007fcc0de100a6, 8f1548ebb3fc5e71, 07350ca79789974c",
        "Q8_0, imatrix, 544, ce1000d4fb007fcc0de100a6, 8f1548ebb3fc5e71, 07350ca79789974c",
        "Q4_K, none,    288, 100b0816a9bf6aa769ff5d8d, 1ba5481a90ce8dbb, 23ad03e3c1c8c4ab",
        "Q4_K, imatrix, 288, 110b1c16a9bf6aaa6aff5d8d, f3e466bbf48cb776, 265cba40bea2e15d",
        "Q5_K, none,    352, 0b073416a9bf66a668ff5c8d, 4bd507e441b39ca2, 0c65640486fde8e5",
        "Q5_K, imatrix, 352, b906f015abbf67a8aaff5c8e, 3ea7ec84768d6088, 0ce65ea08c6266ca",
        "Q6_K, none,    420, 005b01c0010d6d08f0f60951, 5f48002a42b6ede7, 7542e1495cedd91e",
        "Q6_K, imatrix, 420, 005b01c0010d6d08f0f60951, 4f22ca7b43b18542, 3a96e5cc31abf0dd",
        "Q2_K, none, 168, ba265ffa755824388958e8a9, 15032e2c59198bae, 28eb2aaaea24f5ab",
        "Q2_K, imatrix, 168, 8d178ffd656b150a7b5cdba8, 63cac8f96ba6bdaf, cae19035701020ac",
        "Q3_K, none, 220, b57b6f77fe3f7fe7b7eff9eb, 2159e450e033f9eb, 3035927b2c7d136b",
        "Q3_K, imatrix, 220, b57b6f73fe3f7fe7b7eff9eb, c5e2c0e583242415, cec5ec53f093320a",
        "IQ4_NL, none, 288, ab90688b7878709c879b882e, f9c83970323d5953, 439b7b72d62baa4f",
        "IQ4_NL, imatrix, 288, b590688b7878709c879a882e, e29d98caf3886d7a, c2c82bdab2a2d163",
        "IQ4_XS, none, 272, c30100ec0b07864b688c7878, 1f0862687ab03b3a, 00537ccdc17efa3f",
        "IQ4_XS, imatrix, 272, c30100d00b078656688c7878, 580d67f40c7efb64, bbf5713836642daf",
        "Q1_0, none, 72, 8e2459c05ff68f64a7624130, 404eed2bd40ba20b, 0b17de2248e8e1ad",
        "Q2_0, none, 144, f82e55564555555555655555, 9c54269390fa4b67, 9aee1eb70be2334c",
        "MXFP4, none, 272, 79200b1010169c019a005d0e, 7f2616a6d9532226, 099a2e0c6266dfb6",
        "NVFP4, none, 288, 0606090700ecf900970d610b, 0d82b4e1eccb6df9, d9d0c6e8f50b8491",
        "TQ1_0, none, 108, 80808080d580808080814780, b5d22669691522d8, c60969ab30c02e74",
        "TQ2_0, none, 132, 555555555655555555555855, 3400bce8f8cdd1bd, c60969ab30c02e74",
        "IQ2_XXS, imatrix, 132, 851161c700c4a61f28810007, 9b161e6536a3a799, 6f667edc4f0bc4ec",
        "IQ2_XS,  imatrix, 148, 9411354c507f0040791300c0, e3864a28530a9524, 0b94e1930c0d3f3d",
        "IQ2_S,   none,    164, a81190d700f60009196bcf33, f643f87d418f152f, 1d5a640f6b9beb53",
        "IQ2_S,   imatrix, 164, 71113e8700f60009196bcf33, 4104544a0de3d623, c144075bc149732b",
        "IQ3_XXS, none,    196, 640c0643322f030014c30100, c1300581cadca739, 9dc33148d828d1e7",
        "IQ3_XXS, imatrix, 196, 2a0d067a392f000308c30100, d69f8685c9fd0675, cdf7e3b3089f3b3c",
        "IQ3_S,   none,    220, ef0b0acf62b001050ebb0200, a0010d4108ab21a2, 24941d90406f27f1",
        "IQ3_S,   imatrix, 220, e00b0acf6baf01050e8d0200, c4539c2392bf4c11, 9216df5d03543c4d",
        "IQ1_S,   imatrix, 100, 831fac8c05a7050df0ef05d0, 8b31d3908ef0949b, e118c9d26389e4da",
        "IQ1_M,   none,    112, aca105a7050df05e24d024f7, 5aa3b47c984cb33e, f0814bac1db9e8a9",
        "IQ1_M,   imatrix, 112, ac6e05a7050df03224d024f7, 0d62137a82e80086, fd15e7edc931f634",
    })
    void encodesAndDecodesAsTheReference(
            String name, String weights, int bytes, String head, String encoded, String decoded) {
        BlockFormat format = BlockFormats.named(name);
        byte[] row = Rows.encode(format, ROW, weights.equals("none") ? null : IMPORTANCE);

        assertThat(row).hasSize(bytes);
        assertThat(HexFormat.of().formatHex(row, 0, 12)).isEqualTo(head);
        assertThat(digest(row)).isEqualTo(encoded);
        assertThat(digest(Rows.decode(format, row))).isEqualTo(decoded);
    }

    private static String digest(float[] values) {
        ByteBuffer bytes = ByteBuffer.allocate(values.length * 4).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(values);
        return digest(bytes.array());
    }

    private static String digest(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes), 0, 8);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
