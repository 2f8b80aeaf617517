import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/**
 * One process for many commands, since starting one costs a second: a JSON command a line on standard input (or as
 * arguments), a JSON reply a line on standard output: {"ok": true, ...} or {"ok": false, "error": "..."}.
 */
public final class Serve {
    private Serve() {}

    public static void main(String[] commands) throws Exception {
        PrintStream replies = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err); // a library that prints must not break the protocol
        boolean good = true;
        try (Clients clients = new Clients()) {
            for (String command : commands) {
                good &= answer(clients, command, replies);
            }
            if (commands.length == 0) {
                BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
                for (String line = in.readLine(); line != null; line = in.readLine()) {
                    answer(clients, line, replies);
                }
            }
        }
        System.exit(good ? 0 : 1);
    }

    private static boolean answer(Clients clients, String line, PrintStream replies) {
        ObjectNode reply = Json.MAPPER.createObjectNode();
        reply.put("ok", true);
        try {
            JsonNode args = Json.MAPPER.readTree(line);
            switch (Json.text(args, "tool")) {
                case "topics" -> Topics.run(clients, args, reply);
                case "groups" -> Groups.run(clients, args, reply);
                case "produce" -> Produce.run(clients, args, reply);
                case "read" -> Read.run(clients, args, reply);
                case "acls" -> Acls.run(clients, args, reply);
                default -> throw new IllegalArgumentException("'tool' is topics, groups, produce, read or acls");
            }
        } catch (Exception e) {
            Throwable cause = e instanceof java.util.concurrent.ExecutionException && e.getCause() != null ? e.getCause() : e;
            reply.put("ok", false);
            reply.put("error", cause.getClass().getSimpleName() + ": " + cause.getMessage());
        }
        replies.println(reply);
        return reply.get("ok").asBoolean();
    }
}
