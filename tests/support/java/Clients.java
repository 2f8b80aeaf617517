import com.fasterxml.jackson.databind.JsonNode;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.producer.KafkaProducer;

/** What one command may leave for the next: an admin client per broker, and producers with a transaction left open. */
final class Clients implements AutoCloseable {
    private final Map<String, Admin> admins = new HashMap<>();
    final Map<String, KafkaProducer<byte[], byte[]>> open = new HashMap<>();

    Admin admin(JsonNode args) {
        return admins.computeIfAbsent(Json.text(args, "bootstrap"), b -> {
            Properties p = new Properties();
            p.put("bootstrap.servers", b);
            p.put("default.api.timeout.ms", "30000");
            p.put("enable.metrics.push", "false");
            return Admin.create(p);
        });
    }

    /** Properties every client starts from; "properties" of the command is laid over them. */
    static Properties properties(JsonNode args) {
        Properties p = new Properties();
        p.put("bootstrap.servers", Json.text(args, "bootstrap"));
        p.put("enable.metrics.push", "false");
        if (args.has("properties")) {
            args.get("properties").properties().forEach(e -> p.put(e.getKey(), e.getValue().asText()));
        }
        return p;
    }

    @Override
    public void close() {
        open.values().forEach(producer -> producer.close(java.time.Duration.ZERO));
        admins.values().forEach(admin -> admin.close(java.time.Duration.ZERO));
    }
}
