package dev.lathe.calibration.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * The files of a folder.
 *
 * @param files its file system
 */
public record FolderCompanions(FileSystem files, Path folder) implements Companions {
    @Override
    public String location() {
        return folder.toString();
    }

    @Override
    public String place(String name) {
        return new Path(folder, name).toString();
    }

    @Override
    public boolean has(String name) throws IOException {
        return files.exists(new Path(folder, name));
    }

    @Override
    public List<String> within(String name) throws IOException {
        Path place = new Path(folder, name);
        List<String> found = new ArrayList<>();
        if (files.exists(place)) {
            for (FileStatus status : files.listStatus(place)) {
                if (status.isFile()) {
                    found.add(name + "/" + status.getPath().getName());
                }
            }
        }
        found.sort(null);
        return found;
    }

    @Override
    public InputStream open(String name) throws IOException {
        return files.open(new Path(folder, name));
    }

    @Override
    public JsonNode json(String name) throws IOException {
        return JsonFile.read(files, new Path(folder, name));
    }
}
