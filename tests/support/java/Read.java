import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedWriter;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads topics from their beginning into a file of JSON lines. {"tool":"read","topics":[...],"file":...}
 *
 * <p>"isolation": read_committed (default) or read_uncommitted. Reads to the ends found at the start, or, with
 * "records": N, until N records were read, waiting for more. "timeout_ms" (60,000) bounds both; reply.timed_out says
 * so. A line: topic, partition, offset, timestamp, key, value, headers [[name, value]]; keys and values are text,
 * null, or {"base64": ...} where the bytes are no UTF-8.
 */
final class Read {
    private Read() {}

    static void run(Clients clients, JsonNode args, ObjectNode reply) throws Exception {
        Properties p = Clients.properties(args);
        p.putIfAbsent("isolation.level", args.path("isolation").asText("read_committed"));
        p.putIfAbsent("enable.auto.commit", "false");
        p.putIfAbsent("auto.offset.reset", "earliest");
        p.putIfAbsent("fetch.max.wait.ms", "50");
        p.putIfAbsent("max.poll.records", "5000");
        long deadline = System.nanoTime() + args.path("timeout_ms").asLong(60_000) * 1_000_000L;
        long wanted = args.path("records").asLong(Long.MAX_VALUE);
        long read = 0;
        boolean timedOut =
                p.getProperty("isolation.level").equals("read_committed") && !settled(clients.admin(args), deadline);
        try (KafkaConsumer<byte[], byte[]> consumer =
                        new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
                BufferedWriter out = Files.newBufferedWriter(Path.of(Json.text(args, "file")));
                JsonGenerator json = Json.MAPPER.getFactory().createGenerator(out)) {
            json.setRootValueSeparator(null);
            List<TopicPartition> partitions = new ArrayList<>();
            for (String topic : Json.list(args, "topics")) {
                consumer.partitionsFor(topic).forEach(i -> partitions.add(new TopicPartition(topic, i.partition())));
            }
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            while (wanted == Long.MAX_VALUE ? !reached(consumer, ends) : read < wanted) {
                if (System.nanoTime() > deadline) {
                    timedOut = true;
                    break;
                }
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
                    boolean past = wanted == Long.MAX_VALUE
                            && record.offset() >= ends.get(new TopicPartition(record.topic(), record.partition()));
                    if (!past && read < wanted) {
                        write(json, record);
                        json.writeRaw('\n');
                        read++;
                    }
                }
            }
        }
        reply.put("records", read).put("timed_out", timedOut);
    }

    /**
     * A commit is answered when it is decided; what shows it to readers is written into the partitions afterwards. Waits
     * until nothing that is decided is still to be shown.
     */
    private static boolean settled(Admin admin, long deadline) throws Exception {
        var decided = new ListTransactionsOptions()
                .filterStates(List.of(TransactionState.PREPARE_COMMIT, TransactionState.PREPARE_ABORT));
        while (!admin.listTransactions(decided).all().get().isEmpty()) {
            if (System.nanoTime() > deadline) {
                return false;
            }
            Thread.sleep(10);
        }
        return true;
    }

    private static boolean reached(KafkaConsumer<byte[], byte[]> consumer, Map<TopicPartition, Long> ends) {
        return ends.entrySet().stream().allMatch(e -> consumer.position(e.getKey()) >= e.getValue());
    }

    private static void write(JsonGenerator json, ConsumerRecord<byte[], byte[]> record) throws Exception {
        json.writeStartObject();
        json.writeStringField("topic", record.topic());
        json.writeNumberField("partition", record.partition());
        json.writeNumberField("offset", record.offset());
        json.writeNumberField("timestamp", record.timestamp());
        json.writeFieldName("key");
        bytes(json, record.key());
        json.writeFieldName("value");
        bytes(json, record.value());
        json.writeArrayFieldStart("headers");
        for (Header header : record.headers()) {
            json.writeStartArray();
            json.writeString(header.key());
            bytes(json, header.value());
            json.writeEndArray();
        }
        json.writeEndArray();
        json.writeEndObject();
    }

    private static void bytes(JsonGenerator json, byte[] bytes) throws Exception {
        String text = bytes == null ? null : text(bytes);
        if (bytes == null || text != null) {
            json.writeString(text);
        } else {
            json.writeStartObject();
            json.writeBinaryField("base64", bytes);
            json.writeEndObject();
        }
    }

    private static String text(byte[] bytes) {
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
        } catch (CharacterCodingException e) {
            return null;
        }
    }
}
