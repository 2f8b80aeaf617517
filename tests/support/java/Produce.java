import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.OffsetDateTime;
import java.util.Base64;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Sends the lines of a file. {"tool":"produce","topic":...,"file":...,"format":...}
 *
 * <p>Formats: "tsv": partition, key, timestamp, value; an empty partition, key or timestamp is left to the client
 * (no key: null). "json": what Read writes: {"topic", "partition", "key", "timestamp", "value", "headers":
 * [[name, value]]}, where a key or value is text, null or {"base64": ...} and every field may be absent. "records":
 * every line is a value as the files of usage and account records have it: its key is "account", its timestamp the
 * running maximum of "at" over the file, and {"erase": true} sends a null value.
 *
 * <p>"transactional_id" sends all in one transaction; "end" is commit (default), abort, or open, which leaves it open
 * until {"do":"end","transactional_id":...,"end":...} or the end of this process. {"do":"state","transactional_id":...}
 * says in reply.state where the coordinator is with anybody's.
 */
final class Produce {
    private long runningMaximum = Long.MIN_VALUE;
    private final String topic;

    private Produce(String topic) {
        this.topic = topic;
    }

    static void run(Clients clients, JsonNode args, ObjectNode reply) throws Exception {
        String transaction = args.path("transactional_id").asText(null);
        if (args.path("do").asText("").equals("end")) {
            end(clients.open.remove(Json.text(args, "transactional_id")), Json.text(args, "end"));
            return;
        }
        if (args.path("do").asText("").equals("state")) {
            state(clients.admin(args), Json.text(args, "transactional_id"), reply);
            return;
        }
        Properties p = Clients.properties(args);
        p.putIfAbsent("linger.ms", "5");
        p.putIfAbsent("batch.size", "131072");
        // On a topic just made, a first batch that is refused makes this client number anew while later ones are under
        // way, and the broker then refuses them for ever (seen with 4.1.0: out of order sequence number).
        p.putIfAbsent("max.in.flight.requests.per.connection", "1");
        if (transaction != null) {
            p.put("transactional.id", transaction);
        }
        KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());
        boolean keep = false;
        try {
            if (transaction != null) {
                producer.initTransactions();
                producer.beginTransaction();
            }
            reply.put("sent", new Produce(args.path("topic").asText(null)).send(producer, args));
            String end = args.path("end").asText("commit");
            if (transaction != null && end.equals("open")) {
                clients.open.put(transaction, producer);
                keep = true;
            } else if (transaction != null) {
                end(producer, end);
            }
        } finally {
            if (!keep) {
                producer.close();
            }
        }
    }

    private static void end(KafkaProducer<byte[], byte[]> producer, String how) {
        if (producer == null) {
            throw new IllegalArgumentException("no open transaction of this name");
        }
        try (producer) {
            switch (how) {
                case "commit" -> producer.commitTransaction();
                case "abort" -> producer.abortTransaction();
                default -> throw new IllegalArgumentException("'end' is commit, abort or open, not " + how);
            }
        }
    }

    private static void state(Admin admin, String id, ObjectNode reply) throws Exception {
        reply.put("state", admin.describeTransactions(List.of(id)).all().get().get(id).state().toString());
    }

    private long send(KafkaProducer<byte[], byte[]> producer, JsonNode args) throws Exception {
        AtomicReference<Exception> failure = new AtomicReference<>();
        String format = Json.text(args, "format");
        long sent = 0;
        try (BufferedReader lines = Files.newBufferedReader(Path.of(Json.text(args, "file")))) {
            for (String line = lines.readLine(); line != null && failure.get() == null; line = lines.readLine()) {
                if (line.isEmpty()) {
                    continue;
                }
                ProducerRecord<byte[], byte[]> record = switch (format) {
                    case "tsv" -> tsv(line, sent + 1);
                    case "json" -> json(line);
                    case "records" -> record(line);
                    default -> throw new IllegalArgumentException("'format' is tsv, json or records, not " + format);
                };
                producer.send(record, (where, error) -> {
                    if (error != null) {
                        failure.compareAndSet(null, error);
                    }
                });
                sent++;
            }
        }
        producer.flush();
        if (failure.get() != null) {
            throw failure.get();
        }
        return sent;
    }

    private ProducerRecord<byte[], byte[]> tsv(String line, long number) {
        String[] f = line.split("\t", 4);
        if (f.length != 4) {
            throw new IllegalArgumentException("line " + number + " has not four fields: partition, key, timestamp, value");
        }
        return new ProducerRecord<>(topic, f[0].isEmpty() ? null : Integer.valueOf(f[0]),
                f[2].isEmpty() ? null : Long.valueOf(f[2]), f[1].isEmpty() ? null : utf8(f[1]), utf8(f[3]));
    }

    private ProducerRecord<byte[], byte[]> json(String line) throws Exception {
        JsonNode node = Json.MAPPER.readTree(line);
        var out = new ProducerRecord<>(node.path("topic").asText(topic),
                node.hasNonNull("partition") ? Integer.valueOf(node.get("partition").asInt()) : null,
                node.hasNonNull("timestamp") ? Long.valueOf(node.get("timestamp").asLong()) : null,
                bytes(node.get("key")), bytes(node.get("value")));
        for (JsonNode header : node.path("headers")) {
            out.headers().add(header.get(0).asText(), bytes(header.get(1)));
        }
        return out;
    }

    private ProducerRecord<byte[], byte[]> record(String line) throws Exception {
        JsonNode node = Json.MAPPER.readTree(line);
        Long at = instant(node.get("at"));
        if (at != null && at > runningMaximum) {
            runningMaximum = at;
        }
        byte[] key = node.path("account").isTextual() ? utf8(node.get("account").asText()) : null;
        byte[] value = node.path("erase").asBoolean(false) ? null : utf8(line);
        return new ProducerRecord<>(topic, null, runningMaximum == Long.MIN_VALUE ? null : runningMaximum, key, value);
    }

    /** Milliseconds since 1970 of RFC 3339 text or a number; null if it is neither. */
    private static Long instant(JsonNode at) {
        if (at == null) {
            return null;
        }
        if (at.isNumber()) {
            return at.asLong();
        }
        String text = at.asText();
        boolean leap = text.length() > 19 && text.startsWith("60", 17);
        try {
            OffsetDateTime read = OffsetDateTime.parse(leap ? text.substring(0, 17) + "59" + text.substring(19) : text);
            return read.toInstant().toEpochMilli() + (leap ? 1000 : 0);
        } catch (java.time.format.DateTimeParseException e) {
            return null;
        }
    }

    private static byte[] bytes(JsonNode value) {
        if (value == null || value.isNull()) {
            return null;
        }
        return value.isObject() ? Base64.getDecoder().decode(Json.text(value, "base64")) : utf8(value.asText());
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
