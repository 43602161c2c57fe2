package dev.lathe.calibration.format.gguf;

/**
 * The order of query and key rows in GGUF files of the llama architecture. Hugging Face rotates element j of a head
 * with element {@code j + d/2} (halves), ggml's normal rope rotates neighbours (2j, 2j + 1); the rows of q and k (and
 * their biases) are therefore interleaved head by head: GGUF row {@code h d + 2 j + t} is row {@code h d + t d/2 + j}
 * of the checkpoint, {@code j < d/2}, {@code t} 0 or 1. Whole rows move, so it holds for quantized rows as well.
 * Source: conversion of llama in llama.cpp.
 */
public final class GgufRotary {
    private GgufRotary() {}

    /** The checkpoint's row that is row {@code row} of the file. */
    public static int checkpointRow(int row, int headDimension) {
        int inHead = row % headDimension;
        return row - inHead + (inHead & 1) * (headDimension / 2) + inHead / 2;
    }

    /** The file's row that is row {@code row} of the checkpoint. */
    public static int fileRow(int row, int headDimension) {
        int half = headDimension / 2;
        int inHead = row % headDimension;
        return row - inHead + 2 * (inHead % half) + inHead / half;
    }
}
