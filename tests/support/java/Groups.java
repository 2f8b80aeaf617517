import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** Looks at consumer groups and moves their offsets. {"tool":"groups","do":...,"group":...} */
final class Groups {
    private Groups() {}

    static void run(Clients clients, JsonNode args, ObjectNode reply) throws Exception {
        Admin admin = clients.admin(args);
        String group = Json.text(args, "group");
        switch (Json.text(args, "do")) {
            case "offsets" -> offsets(admin, group, reply);
            case "describe" -> describe(admin, group, reply);
            case "move" -> move(admin, group, args);
            case "delete" -> admin.deleteConsumerGroups(List.of(group)).all().get();
            default -> throw new IllegalArgumentException("unknown 'do' for groups: " + args.get("do"));
        }
    }

    /** reply.offsets: [{"topic", "partition", "offset", "metadata"}], the committed ones only. */
    private static void offsets(Admin admin, String group, ObjectNode reply) throws Exception {
        ArrayNode out = reply.putArray("offsets");
        admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().forEach((at, committed) -> {
            if (committed != null) {
                ObjectNode row = out.addObject();
                row.put("topic", at.topic()).put("partition", at.partition());
                row.put("offset", committed.offset()).put("metadata", committed.metadata());
            }
        });
    }

    /** reply.state and reply.members: [{"instance", "client", "partitions": ["topic-0", ...]}] */
    private static void describe(Admin admin, String group, ObjectNode reply) throws Exception {
        ConsumerGroupDescription found = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
        reply.put("state", found.groupState().toString());
        ArrayNode members = reply.putArray("members");
        found.members().forEach(m -> {
            ObjectNode row = members.addObject();
            row.put("instance", m.groupInstanceId().orElse(null)).put("client", m.clientId());
            row.set("partitions", Json.strings(
                    m.assignment().topicPartitions().stream().map(TopicPartition::toString).sorted().toList()));
        });
    }

    /** "offsets": [{"topic", "partition", "offset", "metadata"}]; the group must have no members. */
    private static void move(Admin admin, String group, JsonNode args) throws Exception {
        Map<TopicPartition, OffsetAndMetadata> wanted = new HashMap<>();
        for (JsonNode row : args.get("offsets")) {
            wanted.put(new TopicPartition(Json.text(row, "topic"), row.get("partition").asInt()),
                    new OffsetAndMetadata(row.get("offset").asLong(), row.path("metadata").asText("")));
        }
        admin.alterConsumerGroupOffsets(group, wanted).all().get();
    }
}
