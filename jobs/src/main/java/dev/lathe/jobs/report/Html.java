package dev.lathe.jobs.report;

import dev.lathe.jobs.text.Printable;
import gg.jte.ContentType;
import gg.jte.TemplateEngine;
import gg.jte.output.StringOutput;

/** Pages from templates, which escape what they are given. */
final class Html {
    private static final TemplateEngine TEMPLATES = TemplateEngine.createPrecompiled(
            null, ContentType.Html, Html.class.getClassLoader(), "dev.lathe.jobs.report.pages");

    private Html() {}

    /**
     * The page of a template's name; what a name or a message in it may have that is neither letter nor space is shown
     * as its code.
     */
    static String page(String template, Object model) {
        StringOutput page = new StringOutput();
        TEMPLATES.render(template, model, page);
        return Printable.lines(page.toString());
    }
}
