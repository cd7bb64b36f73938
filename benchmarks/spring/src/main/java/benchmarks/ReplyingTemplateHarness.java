package benchmarks;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;

import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

import org.springframework.kafka.core.DefaultKafkaConsumerFactory;
import org.springframework.kafka.core.DefaultKafkaProducerFactory;
import org.springframework.kafka.listener.ConcurrentMessageListenerContainer;
import org.springframework.kafka.listener.ContainerProperties;
import org.springframework.kafka.requestreply.CorrelationKey;
import org.springframework.kafka.requestreply.ReplyingKafkaTemplate;

/**
 * Sends requests through Spring Kafka's {@link ReplyingKafkaTemplate} and measures how soon their replies come.
 *
 * <p>Arguments are {@code name=value}: {@code topic}, {@code reply-topic}, {@code body} (a request's value), {@code id} (the
 * correlation id in that body, which every request replaces by one of its own), and options of Kafka's clients as
 * {@code producer.linger.ms=0} or {@code consumer.session.timeout.ms=6000}; {@code bootstrap.servers} is for both. What is not
 * given stays as Spring and Kafka have it.
 *
 * <p>When it is ready it prints a line. Then it reads lines {@code in-flight count} from standard input, and answers each
 * with a line of JSON: {@code {"requests_per_second": ..., "p50_ms": ..., "p99_ms": ...}}. It ends with its input.
 *
 * <p>The template speaks the wire contract of workflow events: the names of two headers, and the correlation id as text, are
 * all that it has to be told.
 */
public final class ReplyingTemplateHarness {

    private static final Duration ASSIGNMENT_PATIENCE = Duration.ofSeconds(60);

    private final ReplyingKafkaTemplate<byte[], byte[], byte[]> template;

    private final String topic;

    private final String body;

    private final String idInBody;

    private ReplyingTemplateHarness(Map<String, String> arguments) {
        this.topic = arguments.get("topic");
        this.body = arguments.get("body");
        this.idInBody = arguments.get("id");

        Map<String, Object> producing = options(arguments, "producer.");
        producing.put(ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, ByteArraySerializer.class);
        producing.put(ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, ByteArraySerializer.class);
        Map<String, Object> consuming = options(arguments, "consumer.");
        consuming.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class);
        consuming.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class);

        ContainerProperties properties = new ContainerProperties(arguments.get("reply-topic"));
        properties.setGroupId("spring-" + arguments.get("reply-topic"));
        this.template = new ReplyingKafkaTemplate<>(
                new DefaultKafkaProducerFactory<byte[], byte[]>(producing),
                new ConcurrentMessageListenerContainer<>(
                        new DefaultKafkaConsumerFactory<byte[], byte[]>(consuming), properties));
        this.template.setCorrelationHeaderName("correlation-id");
        this.template.setReplyTopicHeaderName("reply-topic");
        this.template.setCorrelationIdStrategy(record -> new CorrelationKey(record.key()));
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        Map<String, String> given = new HashMap<>();
        for (String argument : arguments) {
            int equals = argument.indexOf('=');
            given.put(argument.substring(0, equals), argument.substring(equals + 1));
        }
        new ReplyingTemplateHarness(given).serve();
        System.exit(0); // the template's scheduler keeps a thread
    }

    private static Map<String, Object> options(Map<String, String> arguments, String prefix) {
        Map<String, Object> options = new HashMap<>();
        options.put("bootstrap.servers", arguments.get("bootstrap.servers"));
        arguments.forEach((name, value) -> {
            if (name.startsWith(prefix)) {
                options.put(name.substring(prefix.length()), value);
            }
        });
        return options;
    }

    private void serve() throws IOException, InterruptedException {
        this.template.start();
        if (!this.template.waitForAssignment(ASSIGNMENT_PATIENCE)) {
            throw new IllegalStateException("no partitions of the reply topic within " + ASSIGNMENT_PATIENCE);
        }
        System.out.println("ready");
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] numbers = line.split(" ");
            System.out.println(new Round(Integer.parseInt(numbers[0]), Integer.parseInt(numbers[1])).run());
        }
        this.template.stop();
    }

    /** So many requests, of which so many are under way at any time: each reply has the next request sent. */
    private final class Round {

        private final int inFlight;

        private final long[] taken;

        private final AtomicInteger begun = new AtomicInteger();

        private final AtomicInteger answered = new AtomicInteger();

        private final CompletableFuture<Void> over = new CompletableFuture<>();

        private Round(int inFlight, int count) {
            this.inFlight = inFlight;
            this.taken = new long[count];
        }

        private String run() {
            long started = System.nanoTime();
            for (int asker = 0; asker < this.inFlight; asker++) {
                ask();
            }
            this.over.join();
            double seconds = (System.nanoTime() - started) / 1e9;
            Arrays.sort(this.taken);
            return String.format(Locale.ROOT, "{\"requests_per_second\": %.3f, \"p50_ms\": %.4f, \"p99_ms\": %.4f}",
                    this.taken.length / seconds, percentile(50), percentile(99));
        }

        private void ask() {
            int number = this.begun.getAndIncrement();
            if (number >= this.taken.length) {
                return;
            }
            long began = System.nanoTime();
            String id = UUID.randomUUID().toString();
            String request = ReplyingTemplateHarness.this.body.replace(ReplyingTemplateHarness.this.idInBody, id);
            ReplyingTemplateHarness.this.template
                    .sendAndReceive(new ProducerRecord<>(ReplyingTemplateHarness.this.topic,
                            id.getBytes(StandardCharsets.US_ASCII), request.getBytes(StandardCharsets.UTF_8)))
                    .whenComplete((reply, error) -> {
                        this.taken[number] = System.nanoTime() - began;
                        check(id, reply, error);
                        if (this.answered.incrementAndGet() == this.taken.length) {
                            this.over.complete(null);
                        }
                        ask();
                    });
        }

        private void check(String id, ConsumerRecord<byte[], byte[]> reply, Throwable error) {
            if (error != null) {
                this.over.completeExceptionally(error);
            }
            else if (!id.equals(new String(reply.key(), StandardCharsets.US_ASCII))) {
                this.over.completeExceptionally(new IllegalStateException("somebody else's reply came to " + id));
            }
        }

        /** By nearest rank, in milliseconds. */
        private double percentile(int percent) {
            int rank = (int) Math.ceil(percent / 100.0 * this.taken.length);
            return this.taken[Math.max(rank, 1) - 1] / 1e6;
        }

    }

}
