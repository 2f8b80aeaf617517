import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** Creates, lists, describes, changes and deletes topics. {"tool":"topics","do":...} */
final class Topics {
    private Topics() {}

    static void run(Clients clients, JsonNode args, ObjectNode reply) throws Exception {
        Admin admin = clients.admin(args);
        switch (Json.text(args, "do")) {
            case "create" -> create(admin, args);
            case "list" -> reply.set("topics", Json.strings(admin.listTopics().names().get()));
            case "describe" -> describe(admin, Json.list(args, "topics"), reply);
            case "delete" -> admin.deleteTopics(Json.list(args, "topics")).all().get();
            case "grow" -> admin.createPartitions(Map.of(Json.text(args, "topic"),
                    NewPartitions.increaseTo(args.get("partitions").asInt()))).all().get();
            case "configure" -> configure(admin, args);
            case "offsets" -> offsets(admin, args, reply);
            case "cut" -> admin.deleteRecords(Map.of(
                    new TopicPartition(Json.text(args, "topic"), args.get("partition").asInt()),
                    RecordsToDelete.beforeOffset(args.get("before").asLong()))).all().get();
            default -> throw new IllegalArgumentException("unknown 'do' for topics: " + args.get("do"));
        }
    }

    /** "topics": [{"name", "partitions", "replication", "configs": {...}}]; an existing topic is an error. */
    private static void create(Admin admin, JsonNode args) throws Exception {
        List<NewTopic> wanted = new ArrayList<>();
        for (JsonNode topic : args.get("topics")) {
            Map<String, String> configs = new HashMap<>();
            if (topic.has("configs")) {
                topic.get("configs").properties().forEach(e -> configs.put(e.getKey(), e.getValue().asText()));
            }
            int partitions = topic.path("partitions").asInt(1);
            short replication = (short) topic.path("replication").asInt(1);
            wanted.add(new NewTopic(Json.text(topic, "name"), partitions, replication).configs(configs));
        }
        admin.createTopics(wanted).all().get();
        // The answer comes before every part of the broker knows the topic: wait until it describes it with leaders.
        long deadline = System.nanoTime() + 30_000_000_000L;
        List<String> names = wanted.stream().map(NewTopic::name).toList();
        while (!haveLeaders(admin, names)) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("topics have no leaders after 30 s: " + names);
            }
            Thread.sleep(5);
        }
    }

    private static boolean haveLeaders(Admin admin, Collection<String> names) throws Exception {
        try {
            for (TopicDescription topic : admin.describeTopics(names).allTopicNames().get().values()) {
                if (topic.partitions().stream().anyMatch(p -> p.leader() == null || p.leader().isEmpty())) {
                    return false;
                }
            }
            return true;
        } catch (java.util.concurrent.ExecutionException e) {
            if (e.getCause() instanceof org.apache.kafka.common.errors.RetriableException) {
                return false;
            }
            throw e;
        }
    }

    /** reply.topics: name -> {"partitions": n, "configs": {name: value}} with every setting in force. */
    private static void describe(Admin admin, List<String> names, ObjectNode reply) throws Exception {
        ObjectNode out = reply.putObject("topics");
        Map<String, TopicDescription> found = admin.describeTopics(names).allTopicNames().get();
        List<ConfigResource> resources =
                names.stream().map(n -> new ConfigResource(ConfigResource.Type.TOPIC, n)).toList();
        var configs = admin.describeConfigs(resources).all().get();
        for (String name : names) {
            ObjectNode topic = out.putObject(name);
            topic.put("partitions", found.get(name).partitions().size());
            ObjectNode settings = topic.putObject("configs");
            for (ConfigEntry entry : configs.get(new ConfigResource(ConfigResource.Type.TOPIC, name)).entries()) {
                settings.put(entry.name(), entry.value());
            }
        }
    }

    private static void configure(Admin admin, JsonNode args) throws Exception {
        List<AlterConfigOp> changes = new ArrayList<>();
        args.get("configs").properties().forEach(e -> changes.add(new AlterConfigOp(
                new ConfigEntry(e.getKey(), e.getValue().asText()), AlterConfigOp.OpType.SET)));
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, Json.text(args, "topic"));
        admin.incrementalAlterConfigs(Map.of(topic, changes)).all().get();
    }

    /** reply.offsets: [{"topic", "partition", "start", "end", "stable"}]; stable is what read_committed may reach. */
    private static void offsets(Admin admin, JsonNode args, ObjectNode reply) throws Exception {
        Map<TopicPartition, OffsetSpec> first = new HashMap<>();
        Map<TopicPartition, OffsetSpec> last = new HashMap<>();
        for (TopicDescription topic : admin.describeTopics(Json.list(args, "topics")).allTopicNames().get().values()) {
            topic.partitions().forEach(p -> {
                TopicPartition at = new TopicPartition(topic.name(), p.partition());
                first.put(at, OffsetSpec.earliest());
                last.put(at, OffsetSpec.latest());
            });
        }
        var start = admin.listOffsets(first).all().get();
        var end = admin.listOffsets(last).all().get();
        var stable = admin.listOffsets(last, new ListOffsetsOptions(IsolationLevel.READ_COMMITTED)).all().get();
        ArrayNode out = reply.putArray("offsets");
        first.keySet().stream().sorted((a, b) -> a.topic().equals(b.topic())
                ? Integer.compare(a.partition(), b.partition()) : a.topic().compareTo(b.topic())).forEach(at -> {
            ObjectNode row = out.addObject();
            row.put("topic", at.topic()).put("partition", at.partition());
            row.put("start", start.get(at).offset()).put("end", end.get(at).offset());
            row.put("stable", stable.get(at).offset());
        });
    }
}
