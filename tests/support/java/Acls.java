import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.utils.Exit;
import org.apache.kafka.tools.AclCommand;

/** Users, and what they may: by Kafka's own command line tool, inside this process. {"tool":"acls","do":...} */
final class Acls {
    private Acls() {}

    static void run(Clients clients, JsonNode args, ObjectNode reply) throws Exception {
        switch (Json.text(args, "do")) {
            case "command" -> command(Json.list(args, "args"));
            case "user" -> user(clients.admin(args), args);
            case "settle" -> settle(clients.admin(args), args.get("count").asInt());
            default -> throw new IllegalArgumentException("unknown 'do' for acls: " + args.get("do"));
        }
    }

    /** kafka-acls.sh with these arguments. */
    private static void command(List<String> args) {
        Exit.setExitProcedure((status, message) -> {
            throw new IllegalStateException("kafka-acls.sh ended with " + status + " " + message);
        });
        try {
            AclCommand.main(args.toArray(new String[0]));
        } finally {
            Exit.resetExitProcedure();
        }
    }

    private static void user(Admin admin, JsonNode args) throws ExecutionException, InterruptedException {
        admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(Json.text(args, "name"),
                new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), Json.text(args, "password")))).all().get();
    }

    /** Waits until the broker knows this many rules: what a controller accepted acts a moment later. */
    private static void settle(Admin admin, int count) throws Exception {
        long deadline = System.nanoTime() + 30_000_000_000L;
        List<AclBinding> found = new ArrayList<>();
        do {
            found.clear();
            found.addAll(admin.describeAcls(AclBindingFilter.ANY).values().get());
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException(found.size() + " rules after 30 s, not " + count + ": " + found);
            }
            Thread.sleep(5);
        } while (found.size() != count);
    }
}
