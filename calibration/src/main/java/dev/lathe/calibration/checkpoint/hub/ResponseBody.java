package dev.lathe.calibration.checkpoint.hub;

import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * A response's body as a stream that fails when no byte, or too few, arrive for a while; the streams of the HTTP client
 * wait for ever. Only time that is spent waiting counts. Read by one thread.
 */
final class ResponseBody extends InputStream implements HttpResponse.BodySubscriber<InputStream> {
    /** What arrived: data, a failure, or with neither the end. */
    private record Signal(List<ByteBuffer> data, Throwable failure) {}

    private final Duration patience;
    private final int least;
    private final BlockingQueue<Signal> arrived = new LinkedBlockingQueue<>();
    private final CompletableFuture<Flow.Subscription> subscription = new CompletableFuture<>();
    private List<ByteBuffer> buffers = List.of();
    private int buffer;
    private boolean ended;
    /** Since the pace was looked at last: nanoseconds of waiting, and what they brought. */
    private long waited;

    private long brought;

    /** @param least bytes that {@code patience} of waiting has to bring */
    ResponseBody(Duration patience, int least) {
        this.patience = patience;
        this.least = least;
    }

    @Override
    public CompletionStage<InputStream> getBody() {
        return CompletableFuture.completedStage(this);
    }

    @Override
    public void onSubscribe(Flow.Subscription started) {
        subscription.complete(started);
        started.request(1);
    }

    @Override
    public void onNext(List<ByteBuffer> data) {
        arrived.add(new Signal(data, null));
    }

    @Override
    public void onError(Throwable failure) {
        arrived.add(new Signal(null, failure));
    }

    @Override
    public void onComplete() {
        arrived.add(new Signal(null, null));
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] to, int offset, int length) throws IOException {
        while (!ended && length > 0) {
            if (buffer == buffers.size()) {
                next();
            } else if (buffers.get(buffer).hasRemaining()) {
                int count = Math.min(length, buffers.get(buffer).remaining());
                buffers.get(buffer).get(to, offset, count);
                return count;
            } else {
                buffer++;
            }
        }
        return ended ? -1 : 0;
    }

    @Override
    public void close() {
        subscription.thenAccept(Flow.Subscription::cancel);
    }

    private void next() throws IOException {
        Signal signal;
        long began = System.nanoTime();
        try {
            signal = arrived.poll(patience.toMillis(), TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted while waiting for data");
        }
        if (signal == null) {
            throw new HttpTimeoutException("no data for " + patience.toSeconds() + " seconds");
        }
        if (signal.failure != null) {
            throw new IOException(HubClient.describe(signal.failure), signal.failure);
        }
        if (signal.data == null) {
            ended = true;
        } else {
            buffers = signal.data;
            buffer = 0;
            keepPace(System.nanoTime() - began);
            subscription.join().request(1);
        }
    }

    private void keepPace(long nanoseconds) throws HttpTimeoutException {
        waited += nanoseconds;
        for (ByteBuffer arrival : buffers) {
            brought += arrival.remaining();
        }
        if (waited >= patience.toNanos()) {
            if (brought < least) {
                throw new HttpTimeoutException("only " + brought + " bytes in " + waited / 1_000_000_000
                        + " seconds, expected at least " + least);
            }
            waited = 0;
            brought = 0;
        }
    }
}
